// What the rules and services of all nodes are.
#pragma once

#include "appliance.h"

void appliance_set_policy(struct appliance *a);
