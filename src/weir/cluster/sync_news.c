// What the cluster's thread tells the others: the workers its counter, control what it is to log
// and show (struct sync_news, whole and of one moment).
#include "weir/cluster/sync_internal.h"

#include <stdio.h>

#define NEWS_NS 100000000ULL

void sync_news(struct sync *sync, struct sync_news *out)
{
	pthread_mutex_lock(&sync->news_lock);
	*out = sync->news;
	pthread_mutex_unlock(&sync->news_lock);
}

// Own state and those of the peers, to see a change at one glance.
static uint64_t all_states(const struct sync *sync)
{
	uint64_t states = counter_get(&cluster_stats(sync->cluster)->state);

	for (unsigned i = 0; i < sync->peer_count; i++)
		states = states << 4 | counter_get(&cluster_peer_stats(sync->cluster, i)->state);
	return states;
}

static enum peer_state peer_state(const struct sync *sync, unsigned peer)
{
	return (enum peer_state)counter_get(&cluster_peer_stats(sync->cluster, peer)->state);
}

// In the turn in which the node becomes active: who joins has an active peer then, who founds none.
static void note_birth(struct sync *sync)
{
	sync->born = sync->founded = sync->founded_alone = true;
	for (unsigned i = 0; i < sync->peer_count; i++) {
		enum peer_state state = peer_state(sync, i);

		sync->founded &= state != PEER_ACTIVE && state != PEER_DRAINING;
		sync->founded_alone &= state == PEER_DOWN || state == PEER_REFUSED;
	}
}

void sync_publish(struct sync *sync)
{
	uint64_t counter_ns;

	if (counter_get(&cluster_stats(sync->cluster)->state) == CLUSTER_JOINING)
		return;
	if (!sync_is_active(sync))
		note_birth(sync);
	counter_ns = cluster_counter_ns(sync->cluster, sync->now_ns);
	// Relaxed: workers use it alone (node_counter_ns).
	atomic_store_explicit(&sync->node->counter_offset_ns, (int64_t)(counter_ns - sync->now_ns),
		memory_order_relaxed);
	// Release pairs with the acquire in sync_is_active().
	atomic_store_explicit(&sync->active, true, memory_order_release);
}

// Control is rung for what changed, and finds the rest when it looks by itself.
void sync_tell_control(struct sync *sync)
{
	uint64_t states = all_states(sync);
	uint64_t view = counter_get(&cluster_stats(sync->cluster)->view);
	bool changed = states != sync->states || view != sync->view;
	struct sync_news *news = &sync->news;

	if ((!changed && sync->now_ns - sync->news_ns < NEWS_NS) ||
		pthread_mutex_trylock(&sync->news_lock))
		return;
	sync->news_ns = sync->now_ns;
	news->born = sync->born;
	news->founded = sync->founded;
	news->founded_alone = sync->founded_alone;
	news->stranger = *sync->transport->stranger;
	snprintf(news->rejoined, SYNC_ERROR_BYTES, "%s", cluster_rejoined(sync->cluster));
	for (unsigned i = 0; i < sync->peer_count; i++) {
		news->states[i] = peer_state(sync, i);
		news->ways[i] = sync->transport->methods->way(sync->transport, i);
		snprintf(news->errors[i], SYNC_ERROR_BYTES, "%s",
			cluster_peer_error(sync->cluster, i));
		snprintf(news->differs[i], SYNC_ERROR_BYTES, "%s",
			cluster_peer_differs(sync->cluster, i));
	}
	pthread_mutex_unlock(&sync->news_lock);
	sync->states = states;
	sync->view = view;
	if (changed)
		bell_ring(&sync->node->bell);
}
