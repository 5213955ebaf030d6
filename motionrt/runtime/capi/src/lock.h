/* A lock for moments, and a flag that one thread can hold. */
#ifndef MRT_LOCK_H
#define MRT_LOCK_H

#include <stdbool.h>

#if defined(_WIN32)
#include <windows.h>
typedef SRWLOCK lock;
#define LOCK_INIT SRWLOCK_INIT
static inline void lock_take(lock *l) { AcquireSRWLockExclusive(l); }
static inline void lock_give(lock *l) { ReleaseSRWLockExclusive(l); }
#else
#include <pthread.h>
typedef pthread_mutex_t lock;
#define LOCK_INIT PTHREAD_MUTEX_INITIALIZER
static inline void lock_take(lock *l) { pthread_mutex_lock(l); }
static inline void lock_give(lock *l) { pthread_mutex_unlock(l); }
#endif

/* Make one anew, where LOCK_INIT cannot stand; end it when nobody has it. */
static inline void lock_make(lock *l) {
#if defined(_WIN32)
  InitializeSRWLock(l);
#else
  pthread_mutex_init(l, NULL);
#endif
}
static inline void lock_end(lock *l) {
#if defined(_WIN32)
  (void)l;
#else
  pthread_mutex_destroy(l);
#endif
}

typedef struct flag {
  lock guard;
  bool held;
} flag;

static inline bool flag_take(flag *f) {
  bool taken;
  lock_take(&f->guard);
  taken = !f->held;
  f->held = true;
  lock_give(&f->guard);
  return taken;
}

static inline void flag_give(flag *f) {
  lock_take(&f->guard);
  f->held = false;
  lock_give(&f->guard);
}

#endif
