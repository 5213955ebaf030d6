/* motionrt: text to motion in a game, a tool or a robot, without Python.
 *
 * A pipeline is loaded from a bundle (what `motionrt export` writes, or the embedded default of the
 * Python package) and makes motions from prompts. ONNX Runtime is found when the first bundle is
 * loaded; this library needs none to build and links none.
 *
 *     mrt_pipeline *pipeline;
 *     mrt_motion *motion;
 *     mrt_generate_options options;
 *     mrt_generate_options_init(&options);
 *     options.seed = 1;
 *     if (mrt_pipeline_load("bundle", NULL, &pipeline) == MRT_OK &&
 *         mrt_generate(pipeline, "a person walks forward", &options, &motion) == MRT_OK)
 *       mrt_motion_save(motion, "walk.bvh");
 *     else
 *       puts(mrt_last_error());
 *
 * Rules that hold everywhere:
 * - World: metres, y up, +z forward, right-handed; radians; seconds. Quaternions are w x y z.
 * - Strings are UTF-8, paths too, on every system. Strings that are returned are not to be freed.
 * - Arrays are contiguous, row by row: (T, J, 3) is T frames of J joints of 3 numbers.
 * - A function that returns mrt_status returns MRT_OK, or a negative status: then its result is
 *   NULL and mrt_last_error() has one line that says what is wrong and what to do.
 * - A struct of options or of information begins with its own size, set by its inline
 *   ..._init(); fields that this header does not know yet are then left at their defaults.
 * - Threads: functions may be called from any thread. A pipeline serves one call at a time; a call
 *   that finds it busy returns MRT_BUSY at once. Motions do not change once made and may be read
 *   by several threads at once. What is freed must not be in use.
 * - Same bundle, same seed, same machine: same motion, equal to that of the Python package.
 *
 * What is left to the Python package: families other than Kimodo, MotionGPT3 and ARDY; exporting and
 * verifying bundles; TensorRT engines; text encoders behind a server; captions of motions, and
 * MotionGPT3's options that take a motion (continue_from, between) and files of its templates;
 * constraints of its own for each prompt of a call; reading motion files, also those that a request
 * names; formats other than BVH and GLB, and in these names and rest poses of other rigs; retargeting
 * and poses of hands; judging motions (foot skate, jitter and the like), and warning of constraints
 * that no body meets and of prompts that the model does not know. Bundles of schema 1 are to be
 * exported again.
 */
#ifndef MOTIONRT_H
#define MOTIONRT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef MRT_API
#if defined(_WIN32) && defined(MRT_BUILD)
#define MRT_API __declspec(dllexport)
#elif defined(_WIN32)
#define MRT_API __declspec(dllimport)
#elif defined(__GNUC__)
#define MRT_API __attribute__((visibility("default")))
#else
#define MRT_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
#define MRT_ZERO {}
#else
#define MRT_ZERO {0}
#endif

#define MRT_ABI_VERSION 1 /* grows when a function or a field is added; nothing is ever removed */

typedef int32_t mrt_status;
enum {
  MRT_OK = 0,
  MRT_BAD_ARGUMENT = -1, /* a null pointer, a struct without its size, an index out of range */
  MRT_BAD_INPUT = -2,    /* a prompt, an option or a constraint does not fit the model */
  MRT_BAD_BUNDLE = -3,   /* no bundle, damaged, or of a kind this library does not know */
  MRT_NO_BACKEND = -4,   /* ONNX Runtime is missing, too old, or refused the bundle's graphs */
  MRT_NO_MEMORY = -5,
  MRT_FILE_ERROR = -6, /* a file cannot be read or written */
  MRT_CANCELLED = -7,  /* the progress callback asked for it */
  MRT_BUSY = -8        /* another thread is using this pipeline */
};

/* ---- The library ---- */

/* MRT_ABI_VERSION of the library that is loaded; at least this header's, or fields are ignored. */
MRT_API uint32_t mrt_abi_version(void);
/* "0.1.0": the version of the Python package that it belongs to. */
MRT_API const char *mrt_version(void);
/* ONNX Runtime's version, or NULL as long as none is loaded. */
MRT_API const char *mrt_onnxruntime_version(void);
/* One line about this thread's last failure; empty if there was none. Valid until the thread's next
 * call. */
MRT_API const char *mrt_last_error(void);
/* "MRT_BAD_INPUT" and so on, for logs. */
MRT_API const char *mrt_status_name(mrt_status status);

typedef enum mrt_log_level { MRT_LOG_INFO = 1, MRT_LOG_WARNING = 2, MRT_LOG_ERROR = 3 } mrt_log_level;
typedef void (*mrt_log_fn)(void *user, mrt_log_level level, const char *line);
/* Where lines of this library and warnings of ONNX Runtime go, from any thread; NULL: nowhere, which
 * is how it begins. The library prints nothing by itself. Set it before the first bundle is loaded:
 * what ONNX Runtime has to say follows the function that was set then. */
MRT_API void mrt_set_log(mrt_log_fn log, void *user);

/* Load ONNX Runtime now, from a file, or with NULL where a pipeline would find it, in this order:
 * in this process, if it has one loaded already; the path in the environment variable
 * MOTIONRT_ONNXRUNTIME; beside this library; where the system looks for libraries; in a
 * Python installation's onnxruntime package that is found by VIRTUAL_ENV or by `python3` in PATH.
 * Once loaded it stays; asking for another file then is MRT_NO_BACKEND. */
MRT_API mrt_status mrt_onnxruntime_load(const char *path);

/* ---- Skeletons ---- */

typedef struct mrt_skeleton mrt_skeleton; /* belongs to its pipeline or motion; never freed */

MRT_API const char *mrt_skeleton_name(const mrt_skeleton *skeleton);
MRT_API int32_t mrt_skeleton_num_joints(const mrt_skeleton *skeleton);
/* NULL for an index out of range. */
MRT_API const char *mrt_skeleton_joint_name(const mrt_skeleton *skeleton, int32_t joint);
/* -1 if there is no such joint. */
MRT_API int32_t mrt_skeleton_find_joint(const mrt_skeleton *skeleton, const char *name);
/* (J) the parent of each joint, -1 for the root, which is joint 0; parents come before children. */
MRT_API const int32_t *mrt_skeleton_parents(const mrt_skeleton *skeleton);
/* (J, 3) metres from the parent in the rest pose; zero for the root. */
MRT_API const float *mrt_skeleton_rest_offsets(const mrt_skeleton *skeleton);
/* (J, 4) local rotations of the rest pose; the identity for every skeleton there is. */
MRT_API const float *mrt_skeleton_rest_rotations(const mrt_skeleton *skeleton);
/* (J, 3) world positions of the rest pose. */
MRT_API const float *mrt_skeleton_rest_positions(const mrt_skeleton *skeleton);

/* ---- Pipelines ---- */

typedef struct mrt_pipeline mrt_pipeline;

/* The numbers of a graph's input or output. */
typedef enum mrt_element { MRT_FLOAT32 = 1, MRT_INT64 = 7, MRT_BOOL = 9 } mrt_element;

typedef struct mrt_tensor {
  const char *name;
  mrt_element type; /* a bool is one byte, 0 or 1 */
  int32_t rank;
  const int64_t *dims; /* (rank) */
  void *data;          /* of an output: zeros, to be filled */
} mrt_tensor;

/* What runs graphs in ONNX Runtime's place: the inference of an engine. The bundle is one that
 * `motionrt lower` wrote, whose graphs hold their weights. It is called in the threads that load and
 * generate, one call at a time, and must not call this library. */
typedef struct mrt_runner {
  size_t struct_size;
  void *user;
  /* Make a graph ready; onnx is its file, which is gone afterwards. NULL if that cannot be done. */
  void *(*open)(void *user, const char *graph, const void *onnx, size_t num_bytes);
  /* Run what open gave: fill the data of all outputs, which have their sizes. false if it failed. */
  bool (*run)(void *user, void *opened, const mrt_tensor *inputs, int32_t num_inputs,
              const mrt_tensor *outputs, int32_t num_outputs);
  void (*close)(void *user, void *opened);
} mrt_runner;

static inline void mrt_runner_init(mrt_runner *runner) {
  mrt_runner fresh = {sizeof(mrt_runner), NULL, NULL, NULL, NULL};
  *runner = fresh;
}

typedef struct mrt_load_options {
  size_t struct_size;
  int32_t threads;         /* CPU threads; 0: ONNX Runtime chooses */
  const char *backend;     /* NULL or "cpu"; "cuda", "directml", "coreml": used or refused */
  const char *onnxruntime; /* its library file; NULL: found as mrt_onnxruntime_load says */
  bool check_hashes;       /* compare every file with its SHA-256 first (11 MB: 7 ms); init: true */
  const mrt_runner *runner; /* instead of ONNX Runtime, which is not looked for; it is copied */
} mrt_load_options;

static inline void mrt_load_options_init(mrt_load_options *options) {
  mrt_load_options fresh = {sizeof(mrt_load_options), 0, NULL, NULL, true, NULL};
  *options = fresh;
}

/* Load a bundle's folder. options may be NULL. Free *out with mrt_pipeline_free(). */
MRT_API mrt_status mrt_pipeline_load(const char *folder, const mrt_load_options *options,
                                     mrt_pipeline **out);

/* Hands out a bundle's files from elsewhere: a pak file, an Android asset, memory. Returns the file's
 * bytes and their number, or NULL if there is none of this name. They must stay as they are until
 * the pipeline is freed. Called from the loading thread only. */
typedef const void *(*mrt_file_fn)(void *user, const char *name, size_t *num_bytes);
/* Load a bundle whose files the callback hands out by their names in the manifest. Needs ONNX
 * Runtime 1.18 or newer. options may be NULL. Free *out with mrt_pipeline_free(). */
MRT_API mrt_status mrt_pipeline_load_files(mrt_file_fn file, void *user,
                                           const mrt_load_options *options, mrt_pipeline **out);
/* Free it; NULL does nothing. Motions that it made stay. */
MRT_API void mrt_pipeline_free(mrt_pipeline *pipeline);

typedef struct mrt_pipeline_info {
  size_t struct_size;
  const char *family;  /* "kimodo", "motiongpt3" or "ardy" */
  const char *name;    /* the model's */
  const char *backend; /* what runs it */
  double fps;
  int32_t max_frames;       /* of one part, transitions included */
  double advised_seconds;   /* what the model was trained on; Kimodo makes what is longer of parts */
  int32_t num_features;     /* D of mrt_motion_features() */
  int32_t text_width;       /* W of an embedding; 0: the family takes none */
  bool has_text_encoder;    /* takes any prompt */
  int32_t num_book_prompts; /* prompts whose embeddings it carries */
  bool takes_sequences;     /* several prompts as one motion */
  int64_t num_bytes;        /* of the files that it holds in memory when all graphs are loaded */
  int32_t max_text_tokens;  /* the most tokens that an embedding may have; 0: the family takes none */
  bool streams;             /* makes streams: mrt_stream_open() */
} mrt_pipeline_info;

static inline void mrt_pipeline_info_init(mrt_pipeline_info *info) {
  mrt_pipeline_info fresh = MRT_ZERO;
  fresh.struct_size = sizeof(mrt_pipeline_info);
  *info = fresh;
}

/* Fill info. Strings are the pipeline's. */
MRT_API mrt_status mrt_pipeline_get_info(const mrt_pipeline *pipeline, mrt_pipeline_info *info);
/* The skeleton of the motions that it makes; it lives as long as the pipeline. */
MRT_API const mrt_skeleton *mrt_pipeline_skeleton(const mrt_pipeline *pipeline);
/* A prompt of the bundle's prompt book; NULL for an index out of range. */
MRT_API const char *mrt_pipeline_book_prompt(const mrt_pipeline *pipeline, int32_t index);
/* What the loaded ONNX Runtime offers ("cpu", "cuda" …), by index; NULL past the last one. */
MRT_API const char *mrt_backend_name(int32_t index);

/* Turn a prompt into the embedding (W floats) that mrt_generate_options.embedding takes: kept in a
 * game's files, it needs no text encoder later. capacity counts floats. */
MRT_API mrt_status mrt_embed(mrt_pipeline *pipeline, const char *prompt, float *embedding,
                             int32_t capacity);
/* The same of a bundle whose embeddings have several tokens: (num_tokens, W), at most
 * max_text_tokens of them; none of a blank prompt. */
MRT_API mrt_status mrt_embed_tokens(mrt_pipeline *pipeline, const char *prompt, float *embedding,
                                    int32_t capacity, int32_t *num_tokens);

/* ---- Constraints ---- */

typedef enum mrt_constraint_kind {
  MRT_ROOT_PATH = 0, /* where the smoothed root is on the ground, and where the body faces */
  MRT_FULL_BODY = 1,
  MRT_LEFT_HAND = 2,
  MRT_RIGHT_HAND = 3,
  MRT_LEFT_FOOT = 4,
  MRT_RIGHT_FOOT = 5,
  MRT_END_EFFECTORS = 6 /* the groups that joint_groups names */
} mrt_constraint_kind;

typedef struct mrt_constraint {
  size_t struct_size;
  mrt_constraint_kind kind;
  int32_t num_frames;         /* K */
  const int32_t *frames;      /* (K) counted from 0, at the model's fps */
  const float *root_xz;       /* (K, 2) the smoothed root; required for MRT_ROOT_PATH, else NULL: that of root_positions */
  const float *headings_rad;  /* (K) MRT_ROOT_PATH alone, or NULL: 0 faces +z, pi/2 faces +x */
  const float *root_positions;   /* (K, 3) the root joint; all kinds but MRT_ROOT_PATH */
  const float *local_rotations;  /* (K, J, 4) of num_joints joints; all kinds but MRT_ROOT_PATH */
  int32_t num_joints;            /* J: the model's skeleton's, or that of its motions */
  const char *const *joint_groups; /* MRT_END_EFFECTORS alone: LeftHand, RightHand, LeftFoot, RightFoot, Hips */
  int32_t num_joint_groups;
} mrt_constraint;

static inline void mrt_constraint_init(mrt_constraint *constraint) {
  mrt_constraint fresh = MRT_ZERO;
  fresh.struct_size = sizeof(mrt_constraint);
  *constraint = fresh;
}

/* ---- Motions ---- */

typedef struct mrt_motion mrt_motion;
typedef struct mrt_motions mrt_motions; /* a list that owns its motions */

typedef struct mrt_motion_info {
  size_t struct_size;
  int32_t num_frames;   /* T */
  int32_t num_joints;   /* J */
  int32_t num_contacts; /* C; 0 where feet are not known */
  int32_t num_features; /* D */
  double fps;
  double seconds;       /* num_frames / fps */
  uint32_t seed;        /* that it was made with, drawn or given */
  int32_t sample;       /* which of several */
  const char *prompt;   /* several prompts are joined by a blank */
  bool is_loop;         /* its last frame is its first again, a round later */
  double loop_x;        /* what a round moves it by, metres along x and z as seen from the heading of */
  double loop_z;        /* its first frame */
  double loop_turn_rad; /* and turns it by */
  bool in_place;        /* its path over the floor was taken away */
} mrt_motion_info;

static inline void mrt_motion_info_init(mrt_motion_info *info) {
  mrt_motion_info fresh = MRT_ZERO;
  fresh.struct_size = sizeof(mrt_motion_info);
  *info = fresh;
}

MRT_API void mrt_motion_free(mrt_motion *motion); /* NULL does nothing */
MRT_API mrt_status mrt_motion_get_info(const mrt_motion *motion, mrt_motion_info *info);
MRT_API const mrt_skeleton *mrt_motion_skeleton(const mrt_motion *motion);

/* Arrays, valid until the motion is freed. NULL where the family does not tell. */
MRT_API const float *mrt_motion_root_positions(const mrt_motion *motion);   /* (T, 3) */
MRT_API const float *mrt_motion_local_rotations(const mrt_motion *motion);  /* (T, J, 4) */
MRT_API const float *mrt_motion_global_positions(const mrt_motion *motion); /* (T, J, 3) */
MRT_API const float *mrt_motion_global_rotations(const mrt_motion *motion); /* (T, J, 4) */
MRT_API const uint8_t *mrt_motion_foot_contacts(const mrt_motion *motion); /* (T, C) 1: on the ground */
MRT_API const float *mrt_motion_smooth_root(const mrt_motion *motion);     /* (T, 3) */
MRT_API const float *mrt_motion_heading(const mrt_motion *motion);         /* (T, 2) cosine, sine */
MRT_API const float *mrt_motion_features(const mrt_motion *motion);        /* (T, D) as the model gave */

typedef struct mrt_motion_arrays {
  size_t struct_size;
  double fps;
  int32_t num_frames;           /* T */
  const float *root_positions;  /* (T, 3) */
  const float *local_rotations; /* (T, J, 4) of any length but zero */
  const uint8_t *foot_contacts; /* (T, C), the left foot's in front; or NULL */
  int32_t num_contacts;         /* C */
  const char *prompt;           /* or NULL */
  const float *smooth_root;     /* (T, 3) and (T, 2) cosine and sine, as the model gave them: what */
  const float *heading;         /* Kimodo goes on from; or NULL */
} mrt_motion_arrays;

static inline void mrt_motion_arrays_init(mrt_motion_arrays *arrays) {
  mrt_motion_arrays fresh = MRT_ZERO;
  fresh.struct_size = sizeof(mrt_motion_arrays);
  *arrays = fresh;
}

/* Make a motion on a skeleton of arrays, which are copied: of a clip that a game keeps, to go on from
 * it or to finish it. Free *out with mrt_motion_free(). */
MRT_API mrt_status mrt_motion_make(const mrt_skeleton *skeleton, const mrt_motion_arrays *arrays,
                                   mrt_motion **out);

MRT_API int32_t mrt_motions_count(const mrt_motions *motions);
/* A motion of the list, which keeps it; NULL for an index out of range. Not to be freed. */
MRT_API const mrt_motion *mrt_motions_get(const mrt_motions *motions, int32_t index);
MRT_API void mrt_motions_free(mrt_motions *motions); /* with its motions; NULL does nothing */

/* ---- Generation ---- */

/* Called between denoising steps, in the calling thread, with what is done ("encoding text",
 * "denoising", "cleaning up") and how far it is. Return false to stop: the call then ends within one
 * step, with MRT_CANCELLED. */
typedef bool (*mrt_progress_fn)(void *user, const char *stage, int32_t done, int32_t total);

typedef struct mrt_generate_options {
  size_t struct_size;
  int64_t seed;               /* 0 to 2^32 - 1; negative: one is drawn; init: -1 */
  double seconds;             /* init: 5 */
  int32_t num_frames;         /* at the bundle's fps; 0: what seconds say */
  int32_t num_samples;        /* motions of mrt_generate_many; init: 1 */
  bool sample_seeds;          /* sample i is the motion of a single run with seed + i */
  int32_t num_steps;          /* denoising steps; more follow the model more closely and take longer; 0: the model's */
  const char *solver;         /* NULL: the model's */
  const char *preset;         /* "fast", "balanced" or "exact": solver, steps and where guidance is on, if these are not given */
  const float *guidance_weights; /* unitless; higher follows the text more and varies less */
  int32_t num_guidance_weights;  /* 0: the model's; 1: text; 2: text, constraints */
  bool no_guidance;
  float first_heading_rad;    /* where the body faces at first: 0 is +z, pi/2 is +x */
  const char *constraints_json;  /* a constraint file's content, or NULL */
  const mrt_constraint *constraints; /* or NULL; added to those of constraints_json */
  int32_t num_constraints;
  int32_t postprocess;        /* 1: meet constraints exactly and keep standing feet still; 0: do not; init: -1, the model's */
  double root_margin;         /* metres that postprocessing may leave at the root; negative: the default, 0.04 */
  int32_t num_transition_frames; /* between parts; 0: the default, 5 */
  const char *compat;         /* "2026-03" or "latest": upstream's revision; NULL: 2026-03 */
  const mrt_motion *continue_from; /* begin with this motion; Kimodo and ARDY */
  const float *embedding;     /* instead of the prompts: (number of prompts, num_embedding_tokens, W) */
  mrt_progress_fn progress;
  void *progress_user;
  const float *first_headings_rad; /* of each motion, instead of first_heading_rad; or NULL */
  const float *noise;       /* standard normal, instead of a seed's: what one run draws, in order */
  int64_t num_noise;        /* how many there are */
  bool no_chain; /* a prompt longer than the model was trained on is made in one piece, not of parts
                    that follow one another: it may lose itself; Kimodo alone */
  double temperature;        /* of the ancestral solver's noise: 1 is as trained, lower varies less;
                                init: -1, which is 1; MotionGPT3 alone */
  const char *text_template; /* how a prompt is worded for the model: "caption", "evaluation", or a text
                                with <Caption_Placeholder> (and perhaps <Frame_Placeholder> and
                                <Second_Placeholder>); NULL: caption; MotionGPT3 alone */
  double guided_from; /* the base steps that are guided, as shares of all (0 is the clean end, 1 is */
  double guided_to;   /* noise); others run one branch and are quicker. init: -1, the preset's or all;
                         Kimodo alone */
  int32_t num_embedding_tokens; /* of each prompt in embedding; 0: 1 */
  const uint8_t *embedding_mask; /* (number of prompts, num_embedding_tokens) 1: a token, 0: filling, of
                                    zeros; none but filling: a blank prompt; NULL: zeros are filling */
  int32_t history_frames; /* that a window looks back, whole tokens; more is steadier and takes longer;
                             0: as many as the model was trained with; ARDY alone */
} mrt_generate_options;

static inline void mrt_generate_options_init(mrt_generate_options *options) {
  mrt_generate_options fresh = MRT_ZERO;
  fresh.struct_size = sizeof(mrt_generate_options);
  fresh.seed = -1;
  fresh.seconds = 5;
  fresh.num_samples = 1;
  fresh.postprocess = -1;
  fresh.root_margin = -1;
  fresh.temperature = -1;
  fresh.guided_from = fresh.guided_to = -1;
  *options = fresh;
}

/* Generate one motion of one prompt; an empty one is unconditional. options may be NULL. Free *out
 * with mrt_motion_free(). */
MRT_API mrt_status mrt_generate(mrt_pipeline *pipeline, const char *prompt,
                                const mrt_generate_options *options, mrt_motion **out);

/* Generate num_samples motions of each prompt, prompt by prompt. Free *out with
 * mrt_motions_free(). */
MRT_API mrt_status mrt_generate_many(mrt_pipeline *pipeline, const char *const *prompts,
                                     int32_t num_prompts, const mrt_generate_options *options,
                                     mrt_motions **out);

/* Generate one motion of several prompts, one after another (num_samples of them). seconds has one
 * number a prompt; NULL: options->seconds for each. MotionGPT3, which knows one clip alone, makes one of
 * each and joins them: such motions have no contacts, headings and features. Free *out with
 * mrt_motions_free(). */
MRT_API mrt_status mrt_generate_sequence(mrt_pipeline *pipeline, const char *const *prompts,
                                         const double *seconds, int32_t num_prompts,
                                         const mrt_generate_options *options, mrt_motions **out);

/* Generate what a JSON request asks for: a line of `motionrt gen --batch`, or docs/request.md. Files
 * that it names are looked up in folder (NULL: the current one). Of options, which may be NULL, only
 * progress, continue_from, embedding with its tokens and mask, first_headings_rad and noise are used.
 * Free *out with
 * mrt_motions_free(). */
MRT_API mrt_status mrt_generate_json(mrt_pipeline *pipeline, const char *request,
                                     const char *folder, const mrt_generate_options *options,
                                     mrt_motions **out);

/* ---- Streams ---- */

/* A motion without an end that is steered while it plays; of ARDY's bundles (mrt_pipeline_info.streams).
 * Frames follow from the seed and from what was asked for at which frame, not from how many are
 * fetched at once nor from how far ahead they are made: they are those of the Python package's
 * session. Memory stays the same however long it goes on (at most 1,073,741,824 frames).
 *
 * Threads: all functions of a stream may be called from any thread at any time, but for
 * mrt_stream_free, which must be the last. One thread fetches frames; another that fetches at the same
 * time gets MRT_BUSY at once. Others may make frames ahead and steer meanwhile: what only steers waits
 * for nothing but another such call. A stream does not hold up its pipeline, which must live longer.
 * A function that fails leaves the stream as it was. */
typedef struct mrt_stream mrt_stream;

typedef struct mrt_stream_options {
  size_t struct_size;
  int64_t seed;            /* 0 to 2^32 - 1; negative: one is drawn; init: -1 */
  const char *prompt;      /* what it begins with; NULL or empty: none */
  double start_x;          /* where the root is at first, metres */
  double start_z;
  double first_heading_rad; /* where the body faces at first: 0 is +z, pi/2 is +x */
  const mrt_motion *start; /* a motion that is gone on from, instead of a place; or NULL */
  int32_t num_steps;       /* of denoising, a window; half as many take half as long; 0: the model's */
  const float *guidance_weights; /* as in mrt_generate_options */
  int32_t num_guidance_weights;
  bool no_guidance;
  int32_t history_frames;  /* that a window looks back, whole tokens; more is steadier and takes longer;
                              0: one token's */
  int32_t reaction_frames; /* that still play as they are after something else was asked for; the new
                              window must be made while they play; init: 1 */
  bool postprocess;        /* meet constraints exactly, in the windows that have any */
  double root_margin;      /* metres that this may leave at the root; negative: the default, 0.04 */
  mrt_progress_fn progress; /* called between denoising steps by the thread that makes frames */
  void *progress_user;
  const float *embedding; /* of the prompt, as mrt_stream_prompt_embedding takes it; or NULL */
  int32_t num_embedding_tokens; /* 0: 1 */
  const uint8_t *embedding_mask;
} mrt_stream_options;

static inline void mrt_stream_options_init(mrt_stream_options *options) {
  mrt_stream_options fresh = MRT_ZERO;
  fresh.struct_size = sizeof(mrt_stream_options);
  fresh.seed = -1;
  fresh.reaction_frames = 1;
  fresh.root_margin = -1;
  *options = fresh;
}

/* Begin a stream and load what it takes. options may be NULL. MRT_BUSY while the pipeline is used.
 * Free *out with mrt_stream_free(), before the pipeline. */
MRT_API mrt_status mrt_stream_open(mrt_pipeline *pipeline, const mrt_stream_options *options,
                                   mrt_stream **out);
/* Free it; NULL does nothing. Chunks that it gave stay. No other thread may be using it. */
MRT_API void mrt_stream_free(mrt_stream *stream);

/* Follow another prompt as soon as can be; empty for none. Any thread; MRT_BUSY while another thread
 * uses the pipeline itself (to generate, embed, or for a prompt of another stream), not while frames
 * are made. */
MRT_API mrt_status mrt_stream_prompt(mrt_stream *stream, const char *prompt);
/* The same with an embedding (num_tokens, W) of the prompt, as mrt_embed and mrt_embed_tokens give it:
 * no text encoder is needed, and nobody waits. mask is as embedding_mask in mrt_generate_options, or
 * NULL. The prompt, or NULL, only names what the frames are of. Snapshots hold the embedding. Any
 * thread. */
MRT_API mrt_status mrt_stream_prompt_embedding(mrt_stream *stream, const char *prompt,
                                               const float *embedding, int32_t num_tokens,
                                               const uint8_t *mask);
/* Be at a place on the ground in so many seconds from now, facing heading_rad unless that is NULL. Any
 * thread. */
MRT_API mrt_status mrt_stream_goal(mrt_stream *stream, float x, float z, double seconds,
                                   const float *heading_rad);
/* Add constraints: a constraint file's content, whose frames count from the next one that is
 * fetched. Any thread. */
MRT_API mrt_status mrt_stream_constraints(mrt_stream *stream, const char *constraints_json);
/* Go with a velocity (x, z) in metres a second; NULL lets go of it. It may be said each frame, as a
 * stick says it: what has not changed changes nothing. Any thread. */
MRT_API mrt_status mrt_stream_velocity(mrt_stream *stream, const float *velocity_xz);
/* Let go of all goals, constraints and the velocity. Any thread. */
MRT_API mrt_status mrt_stream_clear(mrt_stream *stream);
/* Make what follows anew from a frame on; negative: as soon as can be. Any thread. */
MRT_API mrt_status mrt_stream_replan(mrt_stream *stream, int64_t at);

/* Fetch the next frames, at least one, as a motion of so many; waits until they are made, in this
 * thread or in that of mrt_stream_make. Its seed is the stream's, its prompt that of its last frame.
 * One thread at a time. Free *out with mrt_motion_free(). */
MRT_API mrt_status mrt_stream_take(mrt_stream *stream, int32_t num_frames, mrt_motion **out);
/* Let time go by and fetch the frames that fall due in it; *out is NULL if there is none. What is left
 * of a frame is remembered: 60 calls with 1/60 s are one with a second. One thread at a time, as for
 * mrt_stream_take. Free *out with mrt_motion_free(). */
MRT_API mrt_status mrt_stream_advance(mrt_stream *stream, double seconds, mrt_motion **out);
/* Make frames ahead until so many are ready, so that fetching them waits for nothing: what a thread of
 * its own does. Any thread, the one that fetches or another. */
MRT_API mrt_status mrt_stream_make(mrt_stream *stream, int32_t num_frames);

typedef struct mrt_stream_info {
  size_t struct_size;
  double fps;
  int32_t horizon;         /* frames that a window makes */
  uint32_t seed;
  int64_t position;        /* number of the next frame that is fetched */
  int64_t planned;         /* number of the frame behind the last that is made */
  int64_t next_change;     /* the first frame that what is asked for now can change */
  double position_seconds; /* the playhead */
  double planned_seconds;
  int32_t held_frames;     /* that are in memory */
} mrt_stream_info;

static inline void mrt_stream_info_init(mrt_stream_info *info) {
  mrt_stream_info fresh = MRT_ZERO;
  fresh.struct_size = sizeof(mrt_stream_info);
  *info = fresh;
}

/* Fill info. Any thread. */
MRT_API mrt_status mrt_stream_get_info(mrt_stream *stream, mrt_stream_info *info);

/* Receives a file's bytes, in order; returns false to stop (MRT_FILE_ERROR). */
typedef bool (*mrt_write_fn)(void *user, const void *bytes, size_t num_bytes);
/* Write the state, to go back to or for a game's save file; the Python package reads it too. Any
 * thread. The callback must not call functions of this stream. */
MRT_API mrt_status mrt_stream_snapshot(mrt_stream *stream, mrt_write_fn write, void *user);
/* Go back to a state that mrt_stream_snapshot or the Python package wrote; MRT_BAD_INPUT if it is of
 * another model, or damaged. Its prompts are embedded again, but those that came as embeddings. Any thread, and MRT_BUSY as for
 * mrt_stream_prompt. */
MRT_API mrt_status mrt_stream_restore(mrt_stream *stream, const void *bytes, size_t num_bytes);

/* A stream's frames at the higher rate of a robot's controller, along the splines of mrt_motion_finish's
 * fps: frame i is the stream's motion i / fps seconds after the next frame that the stream would have
 * given. It comes delay_frames of the stream later, for so much of what follows must be known. Nobody
 * else may fetch frames meanwhile; what shall happen is asked of the stream. One thread at a time. */
typedef struct mrt_control_rate mrt_control_rate;
/* Begin where a stream stands, which must live longer. fps is the stream's or more; delay_frames is 2
 * or more, 0: 4 (more is nearer to the curve through all frames: 4 is 0.03 mm off). Begin another one
 * after mrt_stream_restore. Free *out with mrt_control_rate_free(). */
MRT_API mrt_status mrt_control_rate_open(mrt_stream *stream, double fps, int32_t delay_frames,
                                         mrt_control_rate **out);
MRT_API void mrt_control_rate_free(mrt_control_rate *rate); /* NULL does nothing */
/* As mrt_stream_take and mrt_stream_advance, with frames of its own rate, without features. */
MRT_API mrt_status mrt_control_rate_take(mrt_control_rate *rate, int32_t num_frames,
                                         mrt_motion **out);
MRT_API mrt_status mrt_control_rate_advance(mrt_control_rate *rate, double seconds,
                                            mrt_motion **out);

/* ---- Finishing ---- */

/* What is done to a motion before it goes into a game. Motions stay as they are: each function makes a
 * new one, without features. The figures are those of motionrt.runtime.body.finishing. */

typedef struct mrt_finish_options {
  size_t struct_size;     /* fields stand in the order in which they are done */
  bool trim;              /* cut ends off that are mid-stride: start and end as a foot comes down */
  bool mirror;            /* swap left and right */
  double speed;           /* so many times as fast; a loop stays a whole number of frames; init: 1 */
  double fps;             /* frame rate, along splines; 0: the motion's */
  bool loop;              /* cut to the best cycle and close the seam: the last frame is the first */
  double loop_seconds;    /* the longest round; 0: as long as closes best */
  bool from_rest;         /* lead in from the rest pose; not of a loop */
  bool to_rest;           /* lead out to it */
  double pose_seconds;    /* how long leading in and out take; init: 0.5 */
  bool start_at_origin;   /* its path starts there */
  bool face;              /* its path starts along face_rad; in place it faces that */
  double face_rad;        /* 0 is +z, pi/2 is +x */
  bool in_place;          /* take the path over the floor away: it moves on the spot, facing +z */
  double root_smoothing;  /* seconds that in_place smooths the path by: the sway of the steps stays;
                             0: none stays; init: 0.25 */
} mrt_finish_options;

static inline void mrt_finish_options_init(mrt_finish_options *options) {
  mrt_finish_options fresh = MRT_ZERO;
  fresh.struct_size = sizeof(mrt_finish_options);
  fresh.speed = 1;
  fresh.pose_seconds = 0.5;
  fresh.root_smoothing = 0.25;
  *options = fresh;
}

/* Where a loop was cut, and how far the two frames that became one were from being one, as seen from
 * where the body stands and faces: of the joint that is farthest off, in millimetres, degrees and
 * the velocity in m/s that jumps beyond what it changes between two frames of the cycle. */
typedef struct mrt_loop_info {
  size_t struct_size;
  int32_t first_frame; /* of the motion as it came to the cut */
  int32_t last_frame;  /* 0: no loop was asked for */
  double before_position_mm;
  double before_rotation_deg;
  double before_velocity_mps;
  double after_position_mm;
  double after_rotation_deg;
  double after_velocity_mps;
  double moved_mm; /* how far a joint was moved at most to close the seam */
} mrt_loop_info;

static inline void mrt_loop_info_init(mrt_loop_info *info) {
  mrt_loop_info fresh = MRT_ZERO;
  fresh.struct_size = sizeof(mrt_loop_info);
  *info = fresh;
}

/* Finish a motion. options may be NULL, which copies it; loop may be NULL, else it is filled.
 * MRT_BAD_INPUT if it cannot be done with this motion: it comes back to no pose, or no foot comes
 * down. The search for a loop takes time as frames times frames of the longest round (10 s: 7 ms, a
 * minute: 0.2 s), which loop_seconds bounds. Free *out with mrt_motion_free(). */
MRT_API mrt_status mrt_motion_finish(const mrt_motion *motion, const mrt_finish_options *options,
                                     mrt_loop_info *loop, mrt_motion **out);

/* Join two motions of one skeleton: over so many seconds (0.4 is usual) the one fades into the other,
 * within the first's last and the second's first 1.5 s where they are most alike. The second goes on
 * where the first is, facing as it does, at its frame rate. Free *out with mrt_motion_free(). */
MRT_API mrt_status mrt_motion_blend(const mrt_motion *first, const mrt_motion *second,
                                    double seconds, mrt_motion **out);

/* The way of a root bone on the floor, its steps smoothed out (0.25 s is usual; 0: not): positions
 * (T, 3), y is 0, and headings (T) without jumps by a turn. Either may be NULL. A character that goes
 * this way and plays the motion in place, smoothed by as much, moves as the motion does. */
MRT_API mrt_status mrt_motion_root_path(const mrt_motion *motion, double smooth_seconds,
                                        float *positions, float *headings_rad);

/* ---- What a game needs each frame ---- */

enum {
  MRT_LOOP = 1,    /* times beyond the end go on from the start; else they stay at the end */
  MRT_IN_PLACE = 2 /* the root stays over the origin and the body faces +z: what is left is root motion */
};

/* The pose at a time: root (3) and local rotations (J, 4), between frames by slerp. Either may be
 * NULL. */
MRT_API mrt_status mrt_motion_sample(const mrt_motion *motion, double seconds, uint32_t flags,
                                     float *root_position, float *local_rotations);
/* The root's way from one time to a later one, as root motion has it: translation (3) on the ground
 * in the frame of the body at `from` (z is ahead), and the turn about y. A character that is moved
 * and turned by it each frame, and shows the pose of MRT_IN_PLACE, moves as the motion does. With
 * MRT_LOOP `to` may lie beyond the end: passes are added up. */
MRT_API mrt_status mrt_motion_root_delta(const mrt_motion *motion, double from, double to,
                                         uint32_t flags, float *translation, float *turn_rad);

/* ---- Files ---- */

typedef enum mrt_axis {
  MRT_PLUS_X = 0,
  MRT_MINUS_X = 1,
  MRT_PLUS_Y = 2,
  MRT_MINUS_Y = 3,
  MRT_PLUS_Z = 4,
  MRT_MINUS_Z = 5
} mrt_axis;

typedef struct mrt_save_options {
  size_t struct_size;
  bool root_bone;        /* a bone named root on the floor goes the smoothed path with its heading, and
                            the hips move on it; else the hips move the body */
  double root_smoothing; /* seconds that the path is smoothed by; init: 0.25 */
  double bvh_scale;      /* units per metre, up to 10000; init: 100, centimetres */
  mrt_axis bvh_up;       /* which axis looks up in a .bvh; init: MRT_PLUS_Y. A .glb has its own axes */
  mrt_axis bvh_forward;  /* where a body looks that faces +z here; init: MRT_PLUS_Z */
} mrt_save_options;

static inline void mrt_save_options_init(mrt_save_options *options) {
  mrt_save_options fresh = MRT_ZERO;
  fresh.struct_size = sizeof(mrt_save_options);
  fresh.root_smoothing = 0.25;
  fresh.bvh_scale = 100;
  fresh.bvh_up = MRT_PLUS_Y;
  fresh.bvh_forward = MRT_PLUS_Z;
  *options = fresh;
}

/* Write a .bvh or .glb file, whole or not at all. */
MRT_API mrt_status mrt_motion_save(const mrt_motion *motion, const char *path);
/* The same with a root bone, or on other axes. options may be NULL. */
MRT_API mrt_status mrt_motion_save_as(const mrt_motion *motion, const char *path,
                                      const mrt_save_options *options);
/* The same into memory or a pak file; format is "bvh" or "glb". */
MRT_API mrt_status mrt_motion_encode(const mrt_motion *motion, const char *format,
                                     mrt_write_fn write, void *user);
/* The same with a root bone, or on other axes. options may be NULL. */
MRT_API mrt_status mrt_motion_encode_as(const mrt_motion *motion, const char *format,
                                        const mrt_save_options *options, mrt_write_fn write,
                                        void *user);

#ifdef __cplusplus
}
#endif
#endif
