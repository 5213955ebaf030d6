/* ARDY: motion window by window; here as whole clips. ardy_session.c has what never ends. */
#include <string.h>

#include "ardy_stream.h"
#include "correction.h"

#define MAX_ROWS (1 << 16)

/* One request, its options settled. */
typedef struct generation {
  ardy_run run;
  noise noise;
  stream_settings how;
  constraints held;
  bool correct;
} generation;

/* What one rollout takes, of B rows. */
typedef struct rollout {
  int32_t batch, num_frames;
  const int32_t *lengths; /* (B) */
  float *text;
  bool *mask;
  float *headings; /* (B) */
} rollout;

static const struct {
  const char *name;
  int32_t num_steps;
} presets[] = {{"fast", 4}, {"balanced", 6}, {"exact", 10}};

static void settle(generation *g) {
  call *c = g->run.c;
  const request *r = g->run.request;
  const ardy *m = g->run.model;
  stream_settings *how = &g->how;
  size_t i;
  if (!isnan(r->temperature) || !isnan(r->guided_from) || r->text_template || r->solver ||
      r->num_transition_frames)
    fail(c, MRT_BAD_INPUT, "ardy has no option %s",
         r->solver                  ? "solver"
         : r->text_template         ? "text_template"
         : r->num_transition_frames ? "num_transition_frames"
         : !isnan(r->guided_from)   ? "guidance_interval"
                                    : "temperature");
  how->num_steps = r->num_steps;
  if (r->preset) {
    for (i = 0; i < 3 && strcmp(presets[i].name, r->preset); i++) continue;
    if (i == 3)
      fail(c, MRT_BAD_INPUT, "preset \"%s\": ardy has fast, balanced, exact", r->preset);
    if (!how->num_steps) how->num_steps = presets[i].num_steps;
  }
  if (!how->num_steps) how->num_steps = m->num_steps;
  if (how->num_steps > m->num_base_steps)
    fail(c, MRT_BAD_INPUT, "%d diffusion steps: must be from 1 to %d", how->num_steps,
         m->num_base_steps);
  how->guidance = guidance_settle(r, m->guidance);
  how->history_frames = r->history_frames ? r->history_frames : m->longest_history;
  if (how->history_frames < m->size || how->history_frames % m->size)
    fail(c, MRT_BAD_INPUT, "%d frames of history: must be a positive multiple of %d",
         how->history_frames, m->size);
  how->future_frames = m->window_frames;
  how->root_margin = r->root_margin < 0 ? DEFAULT_ROOT_MARGIN_M : r->root_margin;
  g->correct = r->postprocess < 0 ? m->features.skeleton->corrected : r->postprocess != 0;
}

/* Decode all tokens in blocks of a horizon, with as much before each as a window saw. */
static void decode_all(generation *g, const rollout *o, const float *tokens, int32_t num_tokens,
                       float *features) {
  ardy *m = g->run.model;
  call *c = g->run.c;
  int32_t block = m->horizon / m->size, context = g->how.history_frames / m->size;
  int32_t width = m->features.width, start, b;
  int32_t *inside = TEMP(c, int32_t, o->batch);
  for (start = 0; start < num_tokens; start += block) {
    int32_t first = start > context ? start - context : 0, count = start + block - first;
    int32_t kept = o->num_frames - start * m->size;
    float *part = TAKE(c, g->run.work, float, (size_t)o->batch * count * m->width), *made;
    if (kept > m->horizon) kept = m->horizon;
    for (b = 0; b < o->batch; b++) {
      int32_t length = (o->lengths[b] + m->size - 1) / m->size * m->size - first * m->size;
      inside[b] = length < 0 ? 0 : length > count * m->size ? count * m->size : length;
      memcpy(part + (size_t)b * count * m->width,
             tokens + ((size_t)b * num_tokens + first) * m->width,
             (size_t)count * m->width * sizeof(float));
    }
    made = ardy_decode(&g->run, part, o->batch, count, inside);
    for (b = 0; b < o->batch; b++)
      memcpy(features + ((size_t)b * o->num_frames + start * m->size) * width,
             made + ((size_t)b * count + start - first) * m->size * width,
             (size_t)kept * width * sizeof(float));
    arena_free(g->run.work);
  }
}

/* Make clips window by window: normalised features (B, T, D) in the world. */
static float *roll_out(generation *g, const rollout *o) {
  ardy *m = g->run.model;
  call *c = g->run.c;
  int32_t width = m->features.width, batch = o->batch, of = m->horizon / m->size, index, b;
  int32_t windows = (o->num_frames + m->horizon - 1) / m->horizon, total = windows * m->horizon;
  int32_t num_tokens = total / m->size, context = g->how.history_frames / m->size;
  float *tokens = TEMP(c, float, (size_t)batch * num_tokens * m->width);
  float *places = TEMP(c, float, 2 * batch), *observed = NULL, *mask = NULL;
  float *noise = TEMP(c, float, (size_t)batch * of * m->width);
  float *features = TEMP(c, float, (size_t)batch * o->num_frames * width);
  if (g->held.count) { /* the same for all */
    size_t i, cells = (size_t)total * width;
    observed = TEMP(c, float, cells);
    mask = TEMP(c, float, cells);
    constraints_fill(c, g->held, &m->features, o->num_frames, &ardy_conditions, observed, mask);
    features_normalize(&m->features, observed, (size_t)total);
    for (i = 0; i < cells; i++) observed[i] *= mask[i];
  }
  for (index = 0; index < windows; index++) {
    int32_t end = index * of, start = end > context ? end - context : 0, kept = end - start;
    float *seen = TAKE(c, g->run.work, float, (size_t)batch * kept * m->width), *made;
    ardy_window w = {0};
    draw(c, g->run.request, &g->noise, noise, (size_t)batch * of * m->width);
    for (b = 0; b < batch; b++)
      memcpy(seen + (size_t)b * kept * m->width,
             tokens + ((size_t)b * num_tokens + start) * m->width,
             (size_t)kept * m->width * sizeof(float));
    w.batch = batch;
    w.history = seen;
    w.before = kept;
    w.noise = noise;
    w.text = o->text;
    w.text_mask = o->mask;
    w.headings = o->headings;
    w.places = places;
    if (mask) {
      w.observed = observed + (size_t)start * m->size * width;
      w.mask = mask + (size_t)start * m->size * width;
      w.known_frames = total - start * m->size;
    }
    w.guidance = g->how.guidance;
    w.num_steps = g->how.num_steps;
    w.index = index;
    w.of = windows;
    made = ardy_generate_window(&g->run, &w);
    for (b = 0; b < batch; b++) {
      float *row = tokens + (size_t)b * num_tokens * m->width, centre[2];
      memcpy(row + (size_t)end * m->width, made + ((size_t)b * (kept + of) + kept) * m->width,
             (size_t)of * m->width * sizeof(float));
      ardy_place(m, ardy_root(m, row, (end + of) * m->size - 1), centre);
      ardy_move(m, row, 1, end + of, centre, -1);
      ardy_requantize(m, row + (size_t)end * m->width, (size_t)of);
      places[2 * b] += centre[0];
      places[2 * b + 1] += centre[1];
      start = end + of > context ? end + of - context : 0;
      o->headings[b] = ardy_heading(m, ardy_root(m, row, start * m->size));
    }
    arena_free(g->run.work);
  }
  ardy_move(m, tokens, batch, num_tokens, places, 1);
  decode_all(g, o, tokens, num_tokens, features);
  for (b = 0; b < batch; b++) /* behind its end a shorter clip may hold anything */
    motion_check_numbers(c, features + (size_t)b * o->num_frames * width, o->lengths[b],
                         (size_t)width, "what the model gave");
  return features;
}

/* Go on from a clip as a stream does: window by window behind its frames. */
static float *continued(generation *g, const float *earlier, int32_t before, int32_t count,
                        const float *text, const bool *mask) {
  ardy *m = g->run.model;
  call *c = g->run.c;
  int32_t width = m->features.width, windows = (count + m->horizon - 1) / m->horizon, index;
  size_t size = (size_t)m->horizon / m->size * m->width;
  float *noise = TEMP(c, float, size);
  stream_settings how = g->how;
  stream_buffer all = {NULL, 0, before};
  all.frames = TEMP(c, float, ((size_t)before + (size_t)windows * m->horizon) * width);
  memcpy(all.frames, earlier, (size_t)before * width * sizeof(float));
  how.replan_frames = 0;
  if (how.history_frames > m->longest_history) how.history_frames = m->longest_history;
  for (index = 0; index < windows; index++) {
    stream_window w = {0};
    w.span = stream_plan(m, &all, all.count - 1, g->held, &how);
    w.history = all.frames + (size_t)w.span.start * width;
    w.inside = constraints_crop(c, g->held, all.count, w.span.start + w.span.num_frames);
    draw(c, g->run.request, &g->noise, noise, size);
    w.text = text;
    w.text_mask = mask;
    w.noise = noise;
    w.how = &how;
    w.index = index;
    w.of = windows;
    memcpy(all.frames + (size_t)all.count * width, stream_make(&g->run, &w),
           (size_t)m->horizon * width * sizeof(float));
    all.count += m->horizon;
    arena_free(g->run.work);
  }
  return all.frames + (size_t)before * width;
}

static mrt_motions *ardy_generate(call *c, mrt_pipeline *p, const request *r, uint32_t seed) {
  ardy *m = p->model;
  generation g;
  int32_t rows = r->num_prompts * r->num_samples, width = m->features.width, most = 0, row, i;
  size_t text = (size_t)m->num_text_tokens * 2 * (size_t)m->hidden_width;
  const mrt_motion *before = NULL;
  float *earlier = NULL, *features = NULL;
  int32_t kept = 0, *lengths;
  tokens prompts;
  mrt_motions *list;
  rollout o = {0};
  memset(&g, 0, sizeof g);
  g.run.c = c;
  g.run.work = TEMP(c, arena, 1);
  arena_defer(c, &c->memory, arena_release, g.run.work);
  g.run.bundle = &p->bundle;
  g.run.model = m;
  g.run.request = r;
  noise_seed(&g.noise, seed);
  settle(&g);
  if ((int64_t)r->num_prompts * r->num_samples > MAX_ROWS)
    fail(c, MRT_BAD_INPUT, "%d prompts of %d samples: at most %d motions", r->num_prompts,
         r->num_samples, MAX_ROWS);
  g.held = given_constraints(c, r, m->features.skeleton);
  if (g.held.count && !m->takes_constraints)
    fail(c, MRT_BAD_INPUT, "%s takes no constraints", p->bundle.name);
  if (r->continue_from) {
    if (r->first_heading != 0 || r->headings)
      fail(c, MRT_BAD_INPUT, "a motion that is continued has a heading already; give no first one");
    earlier = ardy_previous(&g.run, r->continue_from, &before);
    kept = before->num_frames;
  }
  lengths = TEMP(c, int32_t, rows);
  o.batch = rows;
  o.lengths = lengths;
  o.text = TEMP(c, float, (size_t)rows * text);
  o.mask = TEMP(c, bool, rows * m->num_text_tokens);
  o.headings = TEMP(c, float, rows);
  for (i = 0; i < r->num_prompts; i++) {
    constraints_check(c, g.held, kept + r->num_frames[i]);
    if (r->num_frames[i] > most) most = r->num_frames[i];
  }
  o.num_frames = most;
  report(c, r, "encoding text", 0, 1);
  ardy_load_graphs(c, p, m);
  prompts = r->embeddings
                ? tokens_given(c, r->embeddings, r->embedding_mask, r->num_prompts, r->num_tokens,
                               m->text_width, m->num_text_tokens)
                : tokens_of(c, m->text, r->prompts, r->num_prompts, m->text_width,
                            m->num_text_tokens);
  for (row = 0; row < rows; row++) {
    i = row / r->num_samples;
    lengths[row] = r->num_frames[i];
    o.headings[row] = r->headings ? r->headings[row] : (float)r->first_heading;
    if (!isfinite(o.headings[row])) fail(c, MRT_BAD_INPUT, "first heading: must be finite");
    if (row % r->num_samples) { /* of the same prompt */
      memcpy(o.text + (size_t)row * text, o.text + (size_t)(row - 1) * text, text * sizeof(float));
      memcpy(o.mask + row * m->num_text_tokens, o.mask + (row - 1) * m->num_text_tokens,
             (size_t)m->num_text_tokens);
      continue;
    }
    ardy_embed(&g.run, &prompts, i, o.text + (size_t)row * text, o.mask + row * m->num_text_tokens);
  }
  if (!before) features = roll_out(&g, &o);
  list = motions_new(c, rows);
  for (row = 0; row < rows; row++) {
    const char *prompt = r->prompts[row / r->num_samples];
    constraints held = g.held;
    mrt_motion *made;
    float *own;
    if (before) {
      own = continued(&g, earlier, kept, lengths[row], o.text + (size_t)row * text,
                      o.mask + row * m->num_text_tokens);
      held = constraints_crop(c, g.held, kept, kept + lengths[row]);
      if (g.correct) ardy_correct(&g.run, own, lengths[row], held, g.how.root_margin);
    } else {
      own = features + (size_t)row * most * width;
      if (g.correct) report(c, r, "cleaning up", row, rows);
    }
    made = motions_add(c, list, row, m->features.skeleton, kept + lengths[row], p->bundle.fps);
    ardy_show(&g.run, made, own, lengths[row], before, g.correct && !before ? &held : NULL,
              g.how.root_margin);
    made->seed = seed;
    made->sample = row % r->num_samples;
    made->prompt = arena_copy(c, &made->keep, prompt, strlen(prompt));
  }
  return list;
}

/* ---- The family ---- */

static void *open(call *c, mrt_pipeline *p) { return ardy_open(c, p); }
static int32_t max_frames(const mrt_pipeline *p, const request *r) {
  (void)r;
  return p->bundle.max_frames;
}
static int32_t num_features(const mrt_pipeline *p) {
  return ((const ardy *)p->model)->features.width;
}
static int32_t text_width(const mrt_pipeline *p) { return ((const ardy *)p->model)->text_width; }
static bool has_text_encoder(const mrt_pipeline *p) {
  return text_has_encoder(((const ardy *)p->model)->text);
}
static int32_t num_book_prompts(const mrt_pipeline *p) {
  return text_num_book_prompts(((const ardy *)p->model)->text);
}
static const char *book_prompt(const mrt_pipeline *p, int32_t index) {
  return text_book_prompt(((const ardy *)p->model)->text, index);
}
static const float *embed(call *c, mrt_pipeline *p, const char *prompt, int32_t *num_tokens) {
  ardy *m = p->model;
  return text_tokens(c, m->text, prompt, m->text_width, m->num_text_tokens, num_tokens);
}
static int32_t max_text_tokens(const mrt_pipeline *p) {
  return ((const ardy *)p->model)->num_text_tokens;
}

static const char *const graphs[] = {"sampler",    "encoder",           "decoder",
                                     "embed_text", "embed_constraints", "text_encoder", NULL};

const family ardy_family = {"ardy",       false,      true,             true,
                            false,        graphs,     open,       max_frames,       ardy_generate,
                            num_features, text_width, has_text_encoder, num_book_prompts,
                            book_prompt,  embed,      max_text_tokens};
