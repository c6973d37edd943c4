/* What a model's call costs by the prices of the settings (contract 03 §3.13). Pure. */
#ifndef CLAWGATE_AGENT_COST_H
#define CLAWGATE_AGENT_COST_H

#include "base/config.h"
#include "llm/llm.h"

/* In the currency of telemetry.model_pricing; negative: no price known. */
double cost_of(struct arena *a, const struct config *config, const char *provider, const char *model,
               const struct llm_usage *u);

#endif
