// What the group `cluster` becomes, and that a dump of it reads back as the same. Broken groups are
// in bad/cluster*.cfg.
#include "text.h"

#define CLUSTERED                                                                                  \
	"node = \"pop-a\";\n"                                                                      \
	"ports = ( { name = \"o\"; side = \"outside\"; device = \"null\"; },\n"                    \
	"          { name = \"sync\"; side = \"sync\"; device = \"pcap:x.pcap\"; },\n"             \
	"          { name = \"i\"; side = \"inside\"; device = \"null\"; mtu = 9000; } );\n"       \
	"cluster = { id = 3; name = \"lab\"; port = \"sync\"; address = \"203.0.113.225/28\";\n"   \
	"            gateway = \"203.0.113.238\"; psk_file = \"psk\"; peers = (\n"                 \
	"            { name = \"pop-b\"; id = 1; address = \"203.0.113.226\"; },\n"                \
	"            { name = \"pop-c\"; id = 2; address = \"198.51.100.1\"; udp_port = 9; } ); "  \
	"};\n"

static void check_clustered(const struct config *config)
{
	const struct config_cluster *cluster = &config->cluster;
	char text[ADDR_TEXT_BYTES];

	assert_true(cluster->enabled);
	assert_int_equal(cluster->id, 3);
	assert_int_equal(cluster->max_id, 15);
	assert_string_equal(cluster->name, "lab");
	assert_int_equal(cluster->transport, TRANSPORT_PORT);
	assert_string_equal(cluster->port.name, "sync");
	assert_string_equal(cluster->port.device, "pcap:/etc/weir/x.pcap");
	assert_int_equal(cluster->port.side, SIDE_SYNC);
	assert_string_equal(addr_format(&cluster->address, text), "203.0.113.225");
	assert_string_equal(prefix_format(&cluster->network, text), "203.0.113.224/28");
	assert_true(cluster->has_gateway);
	assert_string_equal(addr_format(&cluster->gateway, text), "203.0.113.238");
	assert_int_equal(cluster->udp_port, 47800);
	assert_string_equal(cluster->psk_file, "/etc/weir/psk");
	assert_string_equal(cluster->certificate_file, "");
	assert_int_equal(cluster->peer_count, 2);
	assert_string_equal(cluster->peers[0].name, "pop-b");
	assert_int_equal(cluster->peers[0].udp_port, 47800);
	assert_int_equal(cluster->peers[1].id, 2);
	assert_string_equal(addr_format(&cluster->peers[1].address, text), "198.51.100.1");
	assert_int_equal(cluster->peers[1].udp_port, 9);
	assert_int_equal(cluster->detect_ms, 100);
	assert_int_equal(cluster->copies, 1);
}

static struct config *parse(const char *text, const char *const *sets, unsigned count)
{
	struct config_errors errors;
	struct config *config = config_parse("/etc/weir/a.cfg", text, sets, count, &errors);

	errors_print(&errors);
	assert_non_null(config);
	return config;
}

static void cluster_is_built(void **state)
{
	struct config *config = parse(CLUSTERED, NULL, 0);

	check_clustered(config);
	// The sync port is no data port.
	assert_int_equal(config->port_count, 2);
	assert_string_equal(config->ports[1].name, "i");
	assert_true(config->policy->clustered);
	assert_int_equal(config->policy->node_id, 3);
	assert_int_equal(config->policy->max_id, 15);
	assert_int_equal(config->policy->share, SHARE_FINDER);
	assert_int_equal(config->policy->wait, SHARE_FINDER);
	assert_int_equal(config->policy->timeouts.share_wait_ms, 200);
	assert_false(config->policy->drop_on_timeout);
	config_free(config);
	(void)state;
}

static void without_the_group_there_is_none(void **state)
{
	struct config *config = text_accept(MINIMAL, NULL, 0);

	assert_false(config->cluster.enabled);
	assert_false(config->policy->clustered);
	config_free(config);
	(void)state;
}

static void sharing_goes_to_the_policy(void **state)
{
	static const char *const sets[] = {"cluster.share=all", "cluster.wait=none",
		"cluster.wait_ms=7", "cluster.on_timeout=drop",
		"cluster.peers.pop-b.address=203.0.113.230"};
	struct config *config = parse(CLUSTERED, sets, 5);
	char text[ADDR_TEXT_BYTES];

	assert_int_equal(config->policy->share, SHARE_ALL);
	assert_int_equal(config->policy->wait, SHARE_NONE);
	assert_int_equal(config->policy->timeouts.share_wait_ms, 7);
	assert_true(config->policy->drop_on_timeout);
	assert_string_equal(addr_format(&config->cluster.peers[0].address, text), "203.0.113.230");
	config_free(config);
	(void)state;
}

// `set cluster wait` reads the effective configuration again, with one value changed.
static void a_dump_reads_back(void **state)
{
	static const char *const sets[] = {"cluster.wait=all"};
	struct config *first = parse(CLUSTERED, NULL, 0);
	char *text = config_dump(first);
	struct config *second = parse(text, sets, 1);

	check_clustered(second);
	assert_int_equal(second->policy->wait, SHARE_ALL);
	assert_int_equal(second->port_count, 2);
	assert_int_equal(second->ports[1].mtu, 9000);
	config_free(first);
	config_free(second);
	free(text);
	(void)state;
}

// What the lab and the first reader start from.
static void the_files_of_the_pops_are_a_pair(void **state)
{
	char *a_text = text_read(CFG_CONF_FOLDER "/pop-a.cfg");
	char *b_text = text_read(CFG_CONF_FOLDER "/pop-b.cfg");
	struct config *a = text_accept(a_text, NULL, 0), *b = text_accept(b_text, NULL, 0);

	assert_string_equal(a->cluster.name, b->cluster.name);
	assert_string_equal(a->cluster.peers[0].name, b->node);
	assert_string_equal(b->cluster.peers[0].name, a->node);
	assert_int_equal(a->cluster.peers[0].id, b->cluster.id);
	assert_int_equal(b->cluster.peers[0].id, a->cluster.id);
	assert_true(addr_equal(&a->cluster.peers[0].address, &b->cluster.address));
	assert_true(addr_equal(&b->cluster.peers[0].address, &a->cluster.address));
	config_free(a);
	config_free(b);
	free(a_text);
	free(b_text);
	(void)state;
}

// A third one joins them, and has both for peers.
static void the_file_of_the_third_pop_names_the_pair(void **state)
{
	static const char *const files[] = {"/pop-a.cfg", "/pop-b.cfg", "/pop-c.cfg"};
	struct config *pops[3];

	for (unsigned i = 0; i < 3; i++) {
		char path[256], *text;

		snprintf(path, sizeof(path), "%s%s", CFG_CONF_FOLDER, files[i]);
		text = text_read(path);
		pops[i] = text_accept(text, NULL, 0);
		free(text);
	}
	assert_int_equal(pops[2]->cluster.peer_count, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_string_equal(pops[2]->cluster.peers[i].name, pops[i]->node);
		assert_int_equal(pops[2]->cluster.peers[i].id, pops[i]->cluster.id);
		assert_true(
			addr_equal(&pops[2]->cluster.peers[i].address, &pops[i]->cluster.address));
		assert_int_not_equal(pops[2]->cluster.id, pops[i]->cluster.id);
	}
	for (unsigned i = 0; i < 3; i++)
		config_free(pops[i]);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cluster_is_built),
		cmocka_unit_test(without_the_group_there_is_none),
		cmocka_unit_test(sharing_goes_to_the_policy),
		cmocka_unit_test(a_dump_reads_back),
		cmocka_unit_test(the_files_of_the_pops_are_a_pair),
		cmocka_unit_test(the_file_of_the_third_pop_names_the_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
