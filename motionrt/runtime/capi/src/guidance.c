#include "guidance.h"

#include <string.h>

#define DEFAULT_WEIGHT 2.0f

const char *const guidance_names[3] = {"nocfg", "regular", "separated"};

guidance guidance_read(call *c, const bundle *b) {
  const char *type = need_text(c, &c->memory, b, b->sampler, "guidance_type");
  const json *weights = json_get(b->sampler, "guidance_weights"), *item;
  guidance g = {0, {DEFAULT_WEIGHT, DEFAULT_WEIGHT}};
  int32_t i = 0;
  while (g.num_weights < 3 && strcmp(type, guidance_names[g.num_weights])) g.num_weights++;
  if (g.num_weights == 3)
    fail(c, MRT_BAD_BUNDLE, "%s: guidance_type \"%s\" is unknown", b->place, type);
  if (!weights) return g;
  if (weights->kind != JSON_ARRAY || weights->num_items != g.num_weights)
    fail(c, MRT_BAD_BUNDLE, "%s: guidance_weights do not fit %s", b->place, type);
  for (item = weights->first; item; item = item->next, i++) {
    if (item->kind != JSON_NUMBER)
      fail(c, MRT_BAD_BUNDLE, "%s: guidance_weights are no numbers", b->place);
    g.weights[i] = (float)item->number;
  }
  return g;
}

guidance guidance_settle(const request *r, guidance own) {
  if (r->num_weights < 0) return own;
  own.num_weights = r->num_weights;
  memcpy(own.weights, r->weights, sizeof own.weights);
  return own;
}

branches guidance_branches(const guidance *g, bool has_text, bool constrained) {
  branches b = {0};
  if (g->num_weights == 1 && (has_text || constrained))
    b.text[0] = b.held[0] = 1, b.weights[b.count++] = g->weights[0];
  if (g->num_weights == 2 && has_text) b.text[0] = 1, b.weights[b.count++] = g->weights[0];
  if (g->num_weights == 2 && constrained)
    b.held[b.count] = 1, b.weights[b.count++] = g->weights[1];
  b.text[b.count] = b.held[b.count] = g->num_weights == 0;
  b.count++;
  return b;
}
