/*
 * The life cycle of one ring of signing keys on two instances: what DESIGN.md 5 promises, for every interleaving.
 * README.md beside this file says what is in it and what is not; `node scripts/model.mjs` checks it.
 *
 * Time has no end: what is kept is how long ago something was, and all that is long past is the same. STALE, LEAD, KEEP
 * and LIFE stand in the proportions that keys/policy.ts asks for: LEAD >= STALE + 1 and KEEP >= LIFE + STALE + 1, where the
 * 1 is what is allowed for clocks and caches.
 *
 * A mutant is the same model with one rule of the product taken out, by -D: NO_GATE (a standby takes over without asking
 * the instances), NO_RETENTION (a key leaves as soon as it stops signing), NO_STALE_LIMIT (an instance that is out of
 * touch goes on signing), EARLY_EVIDENCE (who lives is asked before the lock). Each must be found.
 */
#define STALE 1
#define LEAD  2
#define KEEP  3
#define LIFE  1

#define KEYS 4            /* keys that are ever made: the history ends with them */
#define PAST 4            /* longer ago than any threshold */
#define NONE 255

#define REVOCATIONS 1
#define I 2               /* instances */

/* states of a key, in keys/state.ts's words */
#define UNMADE   0
#define PENDING  1
#define ACTIVE   2
#define RETIRING 3
#define RETIRED  4
#define REVOKED  5

/* The database: records, version, and what it knows of instances. Written only under the lock, in one transaction. */
byte state[KEYS];         /* of key k */
byte bornAgo[KEYS];       /* for how long key k is published */
byte bornIn[KEYS];        /* the version that it was first in */
byte movedAgo[KEYS];      /* since when it signs no more, by plan or by decision */
byte made = 0;
byte version = 0;
byte seenAgo[I];          /* since the last heartbeat of instance i; PAST: never, or long ago */
byte servedIn[I];         /* what it said that it serves */

/* Each instance: the version that it holds, as two sets of keys, and when it was last in touch. */
byte held[I];             /* version */
byte signer[I];           /* the key that its snapshot signs with */
byte published[I];        /* bits: keys that its snapshot publishes */
byte revoked[I];          /* bits: keys that it has seen to be revoked */
byte readAgo[I];
#ifdef EARLY_EVIDENCE
byte early[4];            /* what each instance's reconciler took down of seenAgo, before the lock */
#endif

/* Ghosts: what no part of the product knows. */
byte tokenLeft[KEYS];     /* for how long the last token of key k is good */
byte emergency = 0;       /* bits: keys that began to sign since another was revoked: the design lets them at once */

#define BIT(k)       (1 << (k))
#define isOut(k)     (state[k] == RETIRED || state[k] == REVOKED)
#define isIn(k)      (state[k] == PENDING || state[k] == ACTIVE || state[k] == RETIRING)
#define isFresh(i)   (readAgo[i] <= STALE)
#ifdef NO_STALE_LIMIT
#define maySign(i)   (true)
#else
#define maySign(i)   isFresh(i)
#endif
/* keys/evidence.ts isLive: a silent instance is waited for at least as long as it may sign. */
#define isLive(seen) (seen <= STALE)
#define isLate(seen, served, k) (isLive(seen) && served < bornIn[k])

#ifdef NO_GATE
#define isServed(seen, served, k) (true)
#else
#define isServed(seen, served, k) (!isLate(seen, served, k))
#endif
#ifdef NO_RETENTION
#define isKeptLongEnough(k) (true)
#else
#define isKeptLongEnough(k) (movedAgo[k] >= KEEP)
#endif

inline findState(wanted, found) {
  found = NONE;
  k = 0;
  do
  :: k < KEYS && found == NONE && state[k] == wanted -> found = k
  :: k < KEYS && (found != NONE || state[k] != wanted) -> k++
  :: k == KEYS -> break
  od;
  k = 0
}

/* `settle` without its gate: a standby is always published. */
inline generateStandby() {
  if
  :: made < KEYS -> state[made] = PENDING; bornAgo[made] = 0; bornIn[made] = version; made++
  :: else /* the model's keys are used up */
  fi
}

/* What holds after every transaction. */
inline checkSettled() {
  signers = 0; standbys = 0; inSet = 0;
  k = 0;
  do
  :: k < KEYS ->
     signers = signers + (state[k] == ACTIVE);
     standbys = standbys + (state[k] == PENDING);
     inSet = inSet + isIn(k);
     k++
  :: k == KEYS -> break
  od;
  k = 0;
  assert(signers <= 1);                             /* a ring never has two signers */
  assert(signers == 1 || made == KEYS);             /* exactly one key of a ring that has begun signs */
  assert(standbys == 1 || made == KEYS);            /* a standby is always published */
  assert(inSet > 0 || made == KEYS);                /* the set is never empty */
  signers = 0; standbys = 0; inSet = 0
}

/* No key signs before every live instance serves it. Asked of what is true now, whatever the reconciler saw. */
inline checkActivation(k1) {
  assert(!isLate(seenAgo[0], servedIn[0], k1));
  assert(!isLate(seenAgo[1], servedIn[1], k1))
}

/* No key leaves the set while an unexpired token that it signed may live: also one that is yet to be made. */
inline checkEnd(k1) {
  assert(tokenLeft[k1] == 0)
}

inline load(i) {
  held[i] = version;
  signer[i] = NONE; published[i] = 0;
  k = 0;
  do
  :: k < KEYS ->
     if
     :: state[k] == ACTIVE -> signer[i] = k
     :: else
     fi;
     if
     :: isIn(k) -> published[i] = published[i] | BIT(k)
     :: else
     fi;
     if
     :: state[k] == REVOKED -> revoked[i] = revoked[i] | BIT(k)
     :: else
     fi;
     k++
  :: k == KEYS -> break
  od;
  k = 0
}

/* A token. */
inline sign(i) {
  assert(isFresh(i));                                                  /* no instance signs past the stale limit */
  assert((revoked[i] & BIT(signer[i])) == 0);                          /* a revoked key never signs where that is known */
  assert(!isOut(signer[i]) || movedAgo[signer[i]] <= STALE);      /* nor anywhere once the stale limit has passed */
  /* Whoever may sign serves every key that signs, unless it signs since another was revoked. */
  assert((emergency & BIT(signer[i])) != 0 || isOut(signer[i]) || !isFresh(1 - i) || (published[1 - i] & BIT(signer[i])) != 0);
  tokenLeft[signer[i]] = LIFE
}

/* One tick of the reconciler on instance i: plan and apply, in one transaction under the lock. */
inline reconcile(seen0, served0, seen1, served1) {
  version++;                                        /* taken back if nothing changes */
  changed = false;
  findState(RETIRING, one);
  if
  :: one != NONE && isKeptLongEnough(one) -> checkEnd(one); state[one] = RETIRED; changed = true
  :: one == NONE || !isKeptLongEnough(one)
  fi;
  findState(PENDING, one);
  findState(ACTIVE, two);
  if
  :: one != NONE && two != NONE && isDue && bornAgo[one] >= LEAD && isServed(seen0, served0, one) && isServed(seen1, served1, one) ->
        checkActivation(one);
        state[two] = RETIRING; movedAgo[two] = 0;
        state[one] = ACTIVE;
        isDue = false; changed = true;
        generateStandby()
  :: else
  fi;
  if
  :: changed
  :: else -> version--
  fi;
  checkSettled();
  one = 0; two = 0; changed = false
}

bool isDue = false;       /* an admin asked for a rotation, or it is time */

proctype Instance(byte i) {
  byte k = 0, one = 0, two = 0, signers = 0, standbys = 0, inSet = 0;
#ifdef EARLY_EVIDENCE
  byte served[2];
#endif
  bool changed = false;

  do
  /* The heartbeat arrives: the instance lives, and says what it serves. What is new it reads next, or fails to. */
  :: d_step { seenAgo[i] = 0; servedIn[i] = held[i];
       if
       :: held[i] == version -> readAgo[i] = 0
       :: else
       fi
     }
  /* It reads the set, and says so. */
  :: d_step { held[i] != version -> load(i); readAgo[i] = 0; seenAgo[i] = 0; servedIn[i] = held[i] }
  :: d_step { maySign(i) && signer[i] != NONE -> sign(i) }
  /* A tick. A crash in the middle of the transaction has done nothing: it is a step that is not taken. */
#ifdef EARLY_EVIDENCE
  :: d_step { early[2*i] = seenAgo[0]; served[0] = servedIn[0]; early[2*i+1] = seenAgo[1]; served[1] = servedIn[1] };
     /* Here the process may be stopped for as long as it takes; the evidence is of then, and is judged by now. */
     d_step { reconcile(early[2*i], served[0], early[2*i+1], served[1]); early[2*i] = 0; early[2*i+1] = 0; served[0] = 0; served[1] = 0 }
#else
  :: d_step { reconcile(seenAgo[0], servedIn[0], seenAgo[1], servedIn[1]) }
#endif
  od
}

/* Drops a key at once; an active one gives way to its standby, however young that is. */
inline revoke() {
  d_step {
    findState(wanted, one);
    if
    :: one == NONE
    :: else ->
       revocations++;
       version++;
       findState(PENDING, two);
       if
       :: wanted == ACTIVE -> isDue = false; state[two] = ACTIVE; emergency = emergency | BIT(two); movedAgo[one] = 0; generateStandby()
       :: wanted == PENDING -> movedAgo[one] = 0; generateStandby()
       :: else
       fi;
       state[one] = REVOKED;
       checkSettled()
    fi;
    one = 0; two = 0; wanted = 0
  }
}

/* Whoever decides: a rotation, or not after all, or the revocation of any key that may still be revoked. */
proctype Admin() {
  byte k = 0, one = 0, two = 0, wanted = 0, signers = 0, standbys = 0, inSet = 0, revocations = 0;
  do
  :: isDue = !isDue
  :: revocations < REVOCATIONS && made < KEYS -> wanted = PENDING; revoke()
  :: revocations < REVOCATIONS && made < KEYS -> wanted = ACTIVE; revoke()
  :: revocations < REVOCATIONS && made < KEYS -> wanted = RETIRING; revoke()
  od
}

inline age(ago) {
  if
  :: ago < PAST -> ago++
  :: else
  fi
}

/* Time passes whenever it likes: nobody is ever quick. */
proctype Time() {
  byte k = 0;
  do
  :: d_step {
       do
       :: k < KEYS ->
          age(bornAgo[k]); age(movedAgo[k]);
          if
          :: tokenLeft[k] > 0 -> tokenLeft[k]--
          :: else
          fi;
          k++
       :: k == KEYS -> break
       od;
       k = 0;
       age(seenAgo[0]); age(seenAgo[1]); age(readAgo[0]); age(readAgo[1])
#ifdef EARLY_EVIDENCE
       ; age(early[0]); age(early[1]); age(early[2]); age(early[3])
#endif
     }
  od
}

init {
  byte k = 0, i = 0;
  atomic {
    /* The first keys of all: the only ones of which one signs at once. */
    version = 1;
    state[0] = ACTIVE; bornIn[0] = 1;
    state[1] = PENDING; bornIn[1] = 1;
    made = 2;
    seenAgo[0] = PAST; seenAgo[1] = PAST;
    load(0); load(1);
    run Instance(0); run Instance(1); run Admin(); run Time()
  }
}
