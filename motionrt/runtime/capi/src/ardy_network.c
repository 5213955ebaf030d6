#include "ardy_network.h"

#include <math.h>
#include <string.h>

#include "schedule.h"
#include "unicode.h"

#define ROOT 5  /* features of a root */
#define LOCAL 4 /* of a local root: heading rate, velocity x and z, height */
#define WIDENED 1.001f /* the outermost levels, so that they can be reached */

/* ---- The model ---- */

/* Nothing but blanks around a prompt is taken away. */
static char *stripped(call *c, arena *from, const char *prompt) {
  const char *end = prompt + strlen(prompt);
  size_t size;
  while (prompt < end && is_space(utf8_read(prompt, end, &size))) prompt += size;
  return trim_end(c, from, prompt);
}

static int32_t bounded(call *c, const bundle *b, const char *key, int32_t most) {
  int32_t found = need_count(c, b, b->sampler, key);
  if (found > most) fail(c, MRT_BAD_BUNDLE, "%s: sampler: %s is %d", b->place, key, found);
  return found;
}

static void end_lock(void *what) { lock_end(what); }

ardy *ardy_open(call *c, mrt_pipeline *p) {
  ardy *m = TAKE(c, &p->keep, ardy, 1);
  const bundle *b = &p->bundle;
  const mrt_skeleton *s = b->skeleton;
  arena *keep = &p->keep;
  named_bytes file;
  array times;
  double seconds = need_number(c, b, b->sampler, "window_seconds");
  int32_t i;
  m->size = bounded(c, b, "frames_per_token", 1 << 10);
  m->horizon = bounded(c, b, "horizon", 1 << 20);
  m->latent_width = bounded(c, b, "latent_width", 1 << 20);
  m->num_base_steps = bounded(c, b, "num_base_steps", 100000);
  m->num_steps = bounded(c, b, "num_steps", m->num_base_steps);
  m->num_text_tokens = bounded(c, b, "num_text_tokens", 1 << 16);
  m->text_width = bounded(c, b, "text_width", 1 << 20);
  m->hidden_width = bounded(c, b, "hidden_width", 1 << 20);
  m->takes_constraints = need_switch(c, b, b->sampler, "takes_constraints");
  m->quantises = need_switch(c, b, b->sampler, "quantises");
  m->normalises = need_switch(c, b, b->sampler, "normalises");
  m->guidance = guidance_read(c, b);
  m->width = ROOT * m->size + m->latent_width;
  if (m->horizon % m->size || !(seconds > 0 && seconds <= 1e6))
    fail(c, MRT_BAD_BUNDLE, "%s: its sampler section makes no sense", b->place);
  m->window_frames = (int32_t)(seconds * b->fps) / m->size * m->size;
  m->longest_history = (m->window_frames - m->horizon) / m->size * m->size;
  if (m->longest_history < m->size) m->longest_history = m->size;
  if (s->hips.count != 2 || s->left_foot.count < 2 || s->right_foot.count < 2)
    fail(c, MRT_BAD_BUNDLE, "%s: skeleton %s does not name its hips and feet", b->place, s->name);
  m->features = features_make(s, b->fps, 1);
  file = bundle_read(c, &c->memory, b, "statistics.safetensors");
  features_read(c, keep, b, file, &m->features);
  m->local_mean = statistic(c, keep, b, file, "local_root_mean", LOCAL);
  m->local_scale =
      standard_scale(c, keep, statistic(c, &c->memory, b, file, "local_root_std", LOCAL), LOCAL);
  m->latent_mean = statistic(c, keep, b, file, "latent_mean", m->latent_width);
  m->latent_scale = standard_scale(
      c, keep, statistic(c, &c->memory, b, file, "latent_std", m->latent_width), m->latent_width);
  m->levels = statistic(c, keep, b, file, "levels", m->latent_width);
  for (i = 0; i < m->latent_width; i++)
    if (m->levels[i] < 2)
      fail(c, MRT_BAD_BUNDLE, "%s: a number of a latent has fewer than 2 levels", b->place);
  times = safetensors_find(c, keep, file, "time_tokens");
  m->time_tokens = times.values;
  if (!times.values || times.rank != 2 || times.dims[0] != m->num_base_steps ||
      times.dims[1] != 2 * m->hidden_width ||
      bundle_axis(b, "sampler", "x", 2) != m->width ||
      bundle_axis(b, "sampler", "text_tokens", 1) != m->num_text_tokens ||
      bundle_axis(b, "sampler", "text_tokens", 2) != 2 * m->hidden_width ||
      bundle_axis(b, "decoder", "codes", 2) != m->latent_width)
    fail(c, MRT_BAD_BUNDLE, "%s: its graphs and tables are not of the sizes that it states",
         b->place);
  m->text = text_open(c, keep, b, &p->session, stripped);
  lock_make(&m->running);
  arena_defer(c, keep, end_lock, &m->running);
  return m;
}

void ardy_load_graphs(call *c, mrt_pipeline *p, ardy *m) {
  struct {
    const char *name;
    ort_session **kept;
    bool needed;
  } all[] = {{"sampler", &m->sampler, true},
             {"encoder", &m->encoder, true},
             {"decoder", &m->decoder, true},
             {"embed_text", &m->embed_text, m->text_width != 2 * m->hidden_width},
             {"embed_constraints", &m->embed_constraints, m->takes_constraints}};
  size_t i;
  for (i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i].needed && !*all[i].kept)
      *all[i].kept = bundle_session(c, &p->keep, &p->bundle, all[i].name, &p->session);
}

static void give(void *what) {
  lock **held = what;
  if (*held) lock_give(*held);
  *held = NULL;
}

lock **lock_hold(call *c, lock *l) {
  lock **held = TEMP(c, lock *, 1);
  arena_defer(c, &c->memory, give, held);
  lock_take(l);
  *held = l;
  return held;
}

void lock_release(lock **held) { give(held); }

/* Run a graph whose outputs have so many numbers, floats. */
static void run_graph(const ardy_run *u, ort_session *session, const tensor *inputs,
                      size_t num_inputs, tensor *outputs, size_t num_outputs,
                      const size_t *counts) {
  call *c = u->c;
  lock **held = lock_hold(c, &u->model->running);
  size_t i;
  session_run(c, u->work, session, inputs, num_inputs, outputs, num_outputs);
  lock_release(held);
  for (i = 0; i < num_outputs; i++)
    if (tensor_count(&outputs[i]) != counts[i] || outputs[i].type != TENSOR_FLOAT)
      fail(c, MRT_BAD_BUNDLE, "%s: a graph gives %s of another shape", u->bundle->place,
           outputs[i].name);
}

/* ---- Text ---- */

tokens ardy_tokens(const ardy_run *u, const char *prompt) {
  const ardy *m = u->model;
  return tokens_of(u->c, m->text, &prompt, 1, m->text_width, m->num_text_tokens);
}

void ardy_embed(const ardy_run *u, const tokens *from, int32_t row, float *text, bool *mask) {
  ardy *m = u->model;
  size_t width = 2 * (size_t)m->hidden_width, count = (size_t)from->count;
  size_t made = count * width, given = count * (size_t)m->text_width, i;
  float *values = from->values + row * given;
  memset(text, 0, width * (size_t)m->num_text_tokens * sizeof *text);
  memset(mask, 0, (size_t)m->num_text_tokens * sizeof *mask);
  memcpy(mask, from->mask + row * count, count * sizeof *mask);
  for (i = 0; i < given && values[i] == 0; i++) continue;
  if (i == given) return;
  if ((size_t)m->text_width != width) {
    tensor input = {"text_features", TENSOR_FLOAT, 3, {1, from->count, m->text_width}, values};
    tensor output = {.name = "text_tokens"};
    run_graph(u, m->embed_text, &input, 1, &output, 1, &made);
    values = output.data;
  }
  memcpy(text, values, made * sizeof *text);
}

/* ---- Roots ---- */

static float unnormalized(const ardy *m, const float *root, int i) {
  return root[i] * m->features.scale[i] + m->features.mean[i];
}

float ardy_heading(const ardy *m, const float *root) {
  return atan2f(unnormalized(m, root, 4), unnormalized(m, root, 3));
}

void ardy_place(const ardy *m, const float *root, float place[2]) {
  place[0] = unnormalized(m, root, 0);
  place[1] = unnormalized(m, root, 2);
}

/* All five numbers go through their unnormalised values, as in Python: the same rounding. */
static void move_root(const ardy *m, float *root, float x, float z) {
  int i;
  for (i = 0; i < ROOT; i++) {
    float value = unnormalized(m, root, i) + (i == 0 ? x : i == 2 ? z : 0);
    root[i] = (value - m->features.mean[i]) / m->features.scale[i];
  }
}

void ardy_move(const ardy *m, float *tokens, int32_t batch, int32_t num_tokens, const float *by,
               float sign) {
  int32_t b, t;
  for (b = 0; b < batch; b++)
    for (t = 0; t < num_tokens * m->size; t++)
      move_root(m, ardy_root(m, tokens + (size_t)b * num_tokens * m->width, t), sign * by[2 * b],
                sign * by[2 * b + 1]);
}

/* ---- Quantisation: each number of a latent has a few levels. Source: Mentzer 2024,
 * arXiv:2309.15505. Done here: a graph that rounded could not be compared with another. ---- */

static float quantized(const ardy *m, int32_t i, float value) {
  float levels = m->levels[i], half = (levels - 1) * WIDENED / 2;
  float offset = fmodf(levels, 2) == 0 ? 0.5f : 0;
  return nearbyintf(tanhf(value + atanhf(offset / half)) * half - offset) / floorf(levels / 2);
}

/* 1 is allowed here, though an even number of levels ends below it. */
static float on_grid(const ardy *m, int32_t i, float value) {
  float steps = floorf(m->levels[i] / 2);
  return nearbyintf(fminf(fmaxf(value, -1), 1) * steps) / steps;
}

static float latent_seen(const ardy *m, int32_t i, float value) {
  return m->normalises ? (value - m->latent_mean[i]) / m->latent_scale[i] : value;
}

static float latent_value(const ardy *m, int32_t i, float seen) {
  return m->normalises ? seen * m->latent_scale[i] + m->latent_mean[i] : seen;
}

void ardy_requantize(const ardy *m, float *tokens, size_t num_tokens) {
  size_t n;
  int32_t i;
  for (n = 0; n < num_tokens && m->quantises; n++)
    for (i = 0; i < m->latent_width; i++) {
      float *value = tokens + n * (size_t)m->width + ROOT * m->size + i;
      *value = latent_seen(m, i, on_grid(m, i, latent_value(m, i, *value)));
    }
}

/* ---- Tokens ---- */

float *ardy_encode(const ardy_run *u, const float *features, int32_t num_frames) {
  ardy *m = u->model;
  int32_t count = num_frames / m->size, width = m->features.width, body = width - ROOT, n, t, i;
  float *tokens = TAKE(u->c, u->work, float, (size_t)count * m->width);
  float *bodies = TAKE(u->c, u->work, float, (size_t)num_frames * body);
  bool *valid = TAKE(u->c, u->work, bool, count);
  tensor inputs[] = {{"bodies", TENSOR_FLOAT, 3, {1, count, (int64_t)m->size * body}, bodies},
                     {"token_mask", TENSOR_BOOL, 2, {1, count}, valid}};
  tensor output = {.name = "latents"};
  size_t latents = (size_t)count * m->latent_width;
  for (t = 0; t < num_frames; t++) {
    const float *row = features + (size_t)t * width;
    memcpy(ardy_root(m, tokens, t), row, ROOT * sizeof(float));
    memcpy(bodies + (size_t)t * body, row + ROOT, (size_t)body * sizeof(float));
  }
  memset(valid, 1, (size_t)count);
  run_graph(u, m->encoder, inputs, 2, &output, 1, &latents);
  for (n = 0; n < count; n++)
    for (i = 0; i < m->latent_width; i++) {
      float value = ((const float *)output.data)[(size_t)n * m->latent_width + i];
      if (m->quantises) value = quantized(m, i, value);
      tokens[(size_t)n * m->width + ROOT * m->size + i] = latent_seen(m, i, value);
    }
  return tokens;
}

/* Turn normalised roots of a row's tokens into normalised local roots (T, 4). The frame at length - 1
 * repeats the changes of the one before; those behind it keep theirs, and the very last is zero. */
static void local_roots(const ardy *m, float *tokens, int32_t num_frames, int32_t length,
                        float *out) {
  float fps = (float)m->features.fps;
  int32_t t, i;
  for (t = 0; t < num_frames; t++) {
    int32_t from = t == length - 1 && t > 0 ? t - 1 : t;
    float *local = out + (size_t)t * LOCAL, change[3] = {0, 0, 0};
    local[3] = unnormalized(m, ardy_root(m, tokens, t), 1);
    if (from + 1 < num_frames) {
      const float *now = ardy_root(m, tokens, from), *next = ardy_root(m, tokens, from + 1);
      change[0] = ardy_heading(m, next) - ardy_heading(m, now);
      change[0] = atan2f(sinf(change[0]), cosf(change[0]));
      change[1] = unnormalized(m, next, 0) - unnormalized(m, now, 0);
      change[2] = unnormalized(m, next, 2) - unnormalized(m, now, 2);
    }
    for (i = 0; i < 3; i++) local[i] = change[i] * fps;
    for (i = 0; i < LOCAL; i++) local[i] = (local[i] - m->local_mean[i]) / m->local_scale[i];
  }
}

float *ardy_decode(const ardy_run *u, const float *tokens, int32_t batch, int32_t num_tokens,
                   const int32_t *lengths) {
  ardy *m = u->model;
  int32_t frames = num_tokens * m->size, width = m->features.width, b, t, i;
  size_t rows = (size_t)batch * num_tokens, n;
  int32_t given = LOCAL + width - ROOT; /* what the decoder gives a frame */
  size_t count = rows * (size_t)m->size * (size_t)given;
  float *codes = TAKE(u->c, u->work, float, rows *m->latent_width);
  float *local = TAKE(u->c, u->work, float, rows *m->size *LOCAL);
  float *features = TAKE(u->c, u->work, float, rows *m->size *width);
  bool *valid = TAKE(u->c, u->work, bool, rows);
  tensor inputs[] = {{"codes", TENSOR_FLOAT, 3, {batch, num_tokens, m->latent_width}, codes},
                     {"local_root", TENSOR_FLOAT, 3, {batch, num_tokens, m->size * LOCAL}, local},
                     {"token_mask", TENSOR_BOOL, 2, {batch, num_tokens}, valid}};
  tensor output = {.name = "frames"};
  for (n = 0; n < rows; n++)
    for (i = 0; i < m->latent_width; i++) {
      float value =
          latent_value(m, i, tokens[n * (size_t)m->width + ROOT * m->size + i]);
      codes[n * (size_t)m->latent_width + i] =
          m->quantises ? on_grid(m, i, value) : quantized(m, i, value);
    }
  for (b = 0; b < batch; b++) {
    float *row = (float *)tokens + (size_t)b * num_tokens * m->width; /* is only read */
    int32_t length = lengths ? lengths[b] : frames;
    local_roots(m, row, frames, length, local + (size_t)b * frames * LOCAL);
    for (t = 0; t < num_tokens; t++)
      valid[(size_t)b * num_tokens + t] = (t + 1) * m->size <= length;
    for (t = 0; t < frames; t++)
      memcpy(features + ((size_t)b * frames + t) * width, ardy_root(m, row, t),
             ROOT * sizeof(float));
  }
  run_graph(u, m->decoder, inputs, 3, &output, 1, &count);
  for (n = 0; n < rows * (size_t)m->size; n++)
    memcpy(features + n * (size_t)width + ROOT, (float *)output.data + n * (size_t)given + LOCAL,
           (size_t)(width - ROOT) * sizeof(float));
  return features;
}

/* ---- A window ---- */

/* What is known of a window's tokens, around its origin and without its history. */
typedef struct known {
  bool any;
  int32_t count;         /* tokens that matter: what is behind the last goal changes nothing */
  float *mask, *observed; /* (B, N, size * D) */
  bool *future;           /* (B, N): of a token beyond what is generated something is known */
} known;

static known bring(const ardy_run *u, const ardy_window *w) {
  const ardy *m = u->model;
  int32_t width = m->features.width, all = w->known_frames / m->size, inside, n, b, t, i;
  size_t frame = (size_t)width, row = (size_t)w->known_frames * width, k;
  known found = {0};
  inside = w->before + m->horizon / m->size;
  found.count = inside;
  for (b = 0; b < w->batch && w->mask && !found.any; b++)
    for (k = 0; k < row && !found.any; k++)
      found.any = w->mask[(size_t)b * w->row + k] != 0;
  if (!found.any) return found;
  if (!m->takes_constraints) fail(u->c, MRT_BAD_INPUT, "this model takes no constraints");
  for (b = 0; b < w->batch; b++)
    for (t = inside * m->size; t < w->known_frames; t++)
      for (i = 0; i < width; i++)
        if (w->mask[(size_t)b * w->row + (size_t)t * frame + i] != 0 && t / m->size >= found.count)
          found.count = t / m->size + 1;
  found.mask = TAKE(u->c, u->work, float, (size_t)w->batch * found.count * m->size * frame);
  found.observed = TAKE(u->c, u->work, float, (size_t)w->batch * found.count * m->size * frame);
  found.future = TAKE(u->c, u->work, bool, (size_t)w->batch * found.count);
  for (b = 0; b < w->batch; b++)
    for (n = w->before; n < found.count && n < all; n++)
      for (t = n * m->size; t < (n + 1) * m->size; t++) {
        size_t to = ((size_t)b * found.count * m->size + t) * frame;
        size_t from = (size_t)b * w->row + (size_t)t * frame;
        memcpy(found.mask + to, w->mask + from, frame * sizeof(float));
        memcpy(found.observed + to, w->observed + from, frame * sizeof(float));
        move_root(m, found.observed + to, -w->places[2 * b], -w->places[2 * b + 1]);
        for (i = 0; i < width; i++) {
          found.observed[to + i] *= found.mask[to + i];
          if (n >= inside && found.mask[to + i] != 0)
            found.future[(size_t)b * found.count + n] = true;
        }
      }
  return found;
}

float *ardy_generate_window(const ardy_run *u, const ardy_window *w) {
  ardy *m = u->model;
  call *c = u->c;
  known held = bring(u, w);
  int32_t generated = m->horizon / m->size, inside = w->before + generated, b, n, t, step;
  int64_t B = w->batch, N = held.count, K = m->num_text_tokens, H = m->hidden_width;
  int64_t D = (int64_t)m->size * m->features.width, R = ROOT * m->size;
  size_t cells = (size_t)(B * N), size = cells * (size_t)m->width;
  float *x = TAKE(c, u->work, float, size), *x0 = TAKE(c, u->work, float, size), *result;
  bool *history_mask = TAKE(c, u->work, bool, cells);
  bool *generation_mask = TAKE(c, u->work, bool, cells);
  bool *future = held.any ? held.future : TAKE(c, u->work, bool, cells);
  float *root_mask = TAKE(c, u->work, float, cells *(size_t)R);
  float *observed_root = TAKE(c, u->work, float, cells *(size_t)R);
  float *constraint_tokens, *future_tokens;
  schedule plan = cosine_schedule(c, u->work, m->num_base_steps, w->num_steps, "ddim");
  float *times = TAKE(c, u->work, float, (size_t)plan.num_steps * 2 * (size_t)H);
  bool has_text = false;
  branches branch;
  int32_t at_once = u->request->progress ? 1 : plan.num_steps;
  arena *last = NULL;
  for (b = 0; b < w->batch; b++) {
    float *row = x + (size_t)b * (size_t)N * m->width;
    if (w->before)
      memcpy(row, w->history + (size_t)b * w->before * m->width,
             (size_t)w->before * m->width * sizeof(float));
    memcpy(row + (size_t)w->before * m->width, w->noise + (size_t)b * generated * m->width,
           (size_t)generated * m->width * sizeof(float));
    for (n = 0; n < inside; n++)
      (n < w->before ? history_mask : generation_mask)[(size_t)b * (size_t)N + n] = true;
  }
  if (held.any) {
    tensor inputs[] = {{"motion_mask", TENSOR_FLOAT, 3, {B, N, D}, held.mask},
                       {"observed_motion", TENSOR_FLOAT, 3, {B, N, D}, held.observed}};
    tensor outputs[] = {{.name = "constraint_tokens"}, {.name = "future_tokens"}};
    size_t counts[] = {2 * cells * (size_t)H, cells * (size_t)H}, i;
    run_graph(u, m->embed_constraints, inputs, 2, outputs, 2, counts);
    constraint_tokens = outputs[0].data;
    future_tokens = outputs[1].data;
    for (i = 0; i < cells * (size_t)m->size; i++) {
      size_t from = i * (size_t)m->features.width;
      memcpy(root_mask + ROOT * i, held.mask + from, ROOT * sizeof(float));
      memcpy(observed_root + ROOT * i, held.observed + from, ROOT * sizeof(float));
    }
  } else {
    constraint_tokens = TAKE(c, u->work, float, 2 * cells * (size_t)H);
    future_tokens = TAKE(c, u->work, float, cells *(size_t)H);
  }
  for (t = 0; t < w->batch * m->num_text_tokens; t++) has_text |= w->text_mask[t];
  branch = guidance_branches(&w->guidance, has_text, held.any);
  for (step = 0; step < plan.num_steps; step++)
    memcpy(times + (size_t)step * 2 * (size_t)H,
           m->time_tokens + (size_t)plan.timesteps[step] * 2 * (size_t)H,
           2 * (size_t)H * sizeof(float));
  for (step = 0; step < plan.num_steps; step += at_once) {
    arena *results = TAKE(c, u->work, arena, 1);
    ardy_run once = *u;
    tensor inputs[] = {
        {"x", TENSOR_FLOAT, 3, {B, N, m->width}, x},
        {"x0_previous", TENSOR_FLOAT, 3, {B, N, m->width}, x0},
        {"schedule_tokens", TENSOR_FLOAT, 2, {at_once, 2 * H}, times + (size_t)step * 2 * (size_t)H},
        {"schedule", TENSOR_FLOAT, 2, {at_once, 3}, plan.coefficients + 3 * step},
        {"text_tokens", TENSOR_FLOAT, 3, {B, K, 2 * H}, (void *)w->text},
        {"text_mask", TENSOR_BOOL, 2, {B, K}, (void *)w->text_mask},
        {"history_mask", TENSOR_BOOL, 2, {B, N}, history_mask},
        {"generation_mask", TENSOR_BOOL, 2, {B, N}, generation_mask},
        {"future_mask", TENSOR_BOOL, 2, {B, N}, future},
        {"first_heading_rad", TENSOR_FLOAT, 1, {B}, (void *)w->headings},
        {"root_mask", TENSOR_FLOAT, 3, {B, N, R}, root_mask},
        {"observed_root", TENSOR_FLOAT, 3, {B, N, R}, observed_root},
        {"constraint_tokens", TENSOR_FLOAT, 3, {B, N, 2 * H}, constraint_tokens},
        {"future_tokens", TENSOR_FLOAT, 3, {B, N, H}, future_tokens},
        {"branch_text", TENSOR_FLOAT, 1, {branch.count}, branch.text},
        {"branch_constraints", TENSOR_FLOAT, 1, {branch.count}, branch.held},
        {"branch_weights", TENSOR_FLOAT, 1, {branch.count}, branch.weights},
    };
    tensor outputs[] = {{.name = "x_next"}, {.name = "x0"}};
    size_t counts[] = {size, size};
    arena_defer(c, u->work, arena_release, results);
    report(c, u->request, "denoising", w->index * plan.num_steps + step, w->of * plan.num_steps);
    once.work = results;
    run_graph(&once, m->sampler, inputs, sizeof inputs / sizeof *inputs, outputs, 2, counts);
    x = outputs[0].data;
    x0 = outputs[1].data;
    if (last) arena_free(last);
    last = results;
  }
  report(c, u->request, "denoising", (w->index + 1) * plan.num_steps, w->of * plan.num_steps);
  result = TAKE(c, u->work, float, (size_t)B * (size_t)inside * m->width);
  for (b = 0; b < w->batch; b++)
    memcpy(result + (size_t)b * (size_t)inside * m->width, x + (size_t)b * (size_t)N * m->width,
           (size_t)inside * m->width * sizeof(float));
  if (last) arena_free(last);
  return result;
}
