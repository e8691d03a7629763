// The compiled classifier: long rule lists as tries (DPDK's rte_acl), so that a decision costs
// about the same with ten rules and with ten thousand.
#pragma once

#include "policy/policy.h"

// Lists of up to this many rows are walked: that is as fast (test/bench/rules.c).
#define CLASSIFIER_LINEAR_ROWS_MAX 16

extern const struct classifier_ops classifier_acl;

// Compiles the rows of a linear classifier, however few they are. It stays linear, and decides the
// same, on -ERR_MEMORY (the tries do not fit into DPDK's memory, or making them takes more than 512
// MiB) and -ERR_FULL (the rows name more than 127 protocols).
//
// The tries are DPDK's memory: ops->destroy() before the EAL ends. That leaves the classifier
// linear.
int classifier_acl_compile(struct classifier *classifier);

// Control thread, before the policy is posted: compiles its rows where they are many. The same
// errors, with a line in the log; the policy can be used all the same.
int classifier_acl_build(struct policy *policy);
