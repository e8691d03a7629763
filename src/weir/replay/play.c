#include "weir/replay/play.h"

#include <sys/mman.h>

#define HOLD_BYTES	  (256u << 20)
#define CONNECTION_BYTES  (1u << 20)
#define CONNECTION_FRAMES 1024
#define CONNECTIONS_MAX	  (1u << 20)

static bool is_played(const struct policy *policy)
{
	for (unsigned i = 0; i < policy->service_count; i++)
		if (policy->services[i].mode == MODE_PROXY || policy->services[i].mode == MODE_MSYN)
			return true;
	return false;
}

int play_open(struct play *play, const struct config *config)
{
	const struct player_config player = {.services = config->policy->services,
		.service_count = config->policy->service_count,
		.connections = config->flow_capacity < CONNECTIONS_MAX ? config->flow_capacity
								       : CONNECTIONS_MAX,
		.hold_bytes = HOLD_BYTES,
		.connection_bytes = CONNECTION_BYTES,
		.connection_frames = CONNECTION_FRAMES};

	if (!is_played(config->policy))
		return 0;
	play->bytes = player_bytes(&player);
	play->memory = mmap(NULL, play->bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (play->memory == MAP_FAILED) {
		play->memory = NULL;
		return 1;
	}
	play->player = player_init(play->memory, &player);
	return 0;
}

void play_close(struct play *play)
{
	if (play->memory != NULL)
		munmap(play->memory, play->bytes);
	*play = (struct play){0};
}

enum player_verdict play_offer(struct play *play, struct frame *frame, uint64_t now_ns)
{
	if (play->player == NULL)
		return PLAYER_PLAY;
	return player_offer(play->player, frame, (enum side)frame->port, now_ns);
}

void play_sent(struct play *play, const struct frame *frame, uint8_t port, uint64_t now_ns)
{
	if (play->player != NULL)
		player_emitted(play->player, frame, (enum side)port, now_ns);
}

bool play_next(struct play *play, struct frame *out)
{
	return play->player != NULL && player_next(play->player, out);
}

void play_finish(struct play *play)
{
	if (play->player != NULL)
		player_finish(play->player);
}

bool play_waits(const struct play *play)
{
	return play->player != NULL && player_counts(play->player)->held > 0;
}
