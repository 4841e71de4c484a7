/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The concurrent protocol of an array with two paths: how paths and the array are referred to, failed,
 * removed and added, how I/Os are retried, held, parked and let go, how the array is quiesced and
 * stopped. `run` has spin search it to the end.
 *
 * A name behind an at-sign is that of the function that a part stands for. A process of the model is a task or an
 * interrupt: each bio has one, which is its submitter first and then whoever completes it; the array's
 * thread; time; and md core with the administrator. A device completes an I/O at any time in any of
 * four ways: success, the disk's own error, path down, ambiguous.
 *
 * Options:
 *
 *	BIOS		how many I/Os there are
 *	ADDS		how many paths are added; each takes the place of one that failed
 *	FAILS		how many paths are failed by hand
 *	PROBES		how many times PROBE_INTERVAL passes; FOREVER: without end
 *	EXPIRY		no_path_timeout_ms passes; else I/Os may stay parked for ever, and nobody
 *			else may wait for them
 *	ZERO		0 is written to no_path_timeout_ms; NOPARK: it is 0 from the start
 *	PLAIN		no device gives an ambiguous error: a path is down, or it is not
 *	HOLD		write_retry_hold_ms is set, and all I/Os are writes
 *	CAP		no_path_max_parked
 *	NOWAITS		so many I/Os must not wait
 *	QUIESCES	how many times the array is quiesced
 *	STOP		the array may be stopped
 *	FINE		every step by itself: each access to what is shared. Else what a task does from
 *			one sleep, lock or submission to the next is one action.
 *
 * What is claimed, by `assert`:
 *
 * - An I/O tries each path once a round, or once more if it is no answer what that said (`send`), ends once (`ends`), and in the end has ended
 *   (`Check`; parked I/Os of an array that goes on may stay so without EXPIRY).
 * - A path is failed with proof only, and as itself, not for another that was in its slot (`blame`);
 *   the last one that is usable never (`error`).
 * - What every usable path says is the answer if one of them took its time; where nothing is parked a path that is
 *   down had its time (`calm`); and an error goes up or an I/O is parked only when no
 *   usable path is untried (`try_paths`).
 * - There are never more parked than may be (`new_ticket`). They leave the shelf in the order in which
 *   they came (`is_first`), and none that waited when a bio came is overtaken by that (`send`), but for
 *   lack of room while a release is under way, or when all that were there when the path came are sent.
 * - A path that comes, or a probe that succeeds, leaves nobody parked (`owed`, `Check`).
 * - A path is removed only when no I/O is on it, and each failed path is removed in the end.
 * - Quiesce, stop and removal come to an end (`core_busy` in `Check`), also where nobody parked ever
 *   goes; while the array is drained nobody refers to it; what has been freed is not used (`freed`).
 *
 * Memory is taken as sequentially consistent. Slots and tickets do not wrap. Retry list and held list
 * are sets: any order of theirs is tried. The model has one priority; policies may choose any path.
 */
#ifndef BIOS
#define BIOS 3
#endif
#ifndef ADDS
#define ADDS 0
#endif
#ifndef FAILS
#define FAILS 0
#endif
#ifndef QUIESCES
#define QUIESCES 0
#endif
#ifndef CAP
#define CAP BIOS
#endif
#ifndef PROBES
#define PROBES 0
#endif
/* FOREVER: there is always time for another probe. */
#ifdef FOREVER
#define PROBES_END 0
#else
#define PROBES_END 1
#endif
#ifndef NOWAITS
#define NOWAITS 0
#endif

/* Others come in between what is before and after, where every step counts. */
#ifdef FINE
#define THEN }; atomic {
#define NEXT(label) goto label
#else
#define THEN
#define NEXT(label) goto label##_now
#endif

#define SLOTS 2
#define SET(n) (1 << (n))
#define NOBODY 255

/* The paths, by slot. */
byte present = 3;	/* in the table */
byte number[SLOTS];
byte refs[SLOTS];
byte closed, faulty;

/* The array. */
byte usable = 3, preferred = 3;
byte newest;
byte readers;	/* who has an RCU guard: a bit for each bio, and THREAD */
#define THREAD 128
bool open = true;
byte array_refs;
bool freed;
byte submitting;
bool no_submit;	/* md core lets nothing more in */
bool detached;	/* mddev->pers is gone: md_error does nothing */

/* The retry list, what is held, and the thread. */
byte retries, held;
bool retries_closed;
bool wake;
bool thread_stop, thread_gone;
bool sleeps_for;	/* not only until it is woken */
byte batch;
byte cur = NOBODY;

/* Parking. */
#ifdef NOPARK
bool timeout_on = false;
#else
bool timeout_on = true;
#endif
#define OPEN 0
#define WAIT 1
#define PROBING 2
#define RELEASING 3
byte phase;
byte turn;	/* the ticket of PROBING and RELEASING */
byte last;
byte holders;
byte ticket[BIOS];
byte shelf;
bool no_parking;	/* the array stops */
byte late;	/* their time is up */
byte due;	/* held for long enough */
byte ticks = PROBES;

/* md core. */
bool needed;
bool core_busy;
byte wanted;	/* members that wait to be added */

/* The bios. */
#define NEW 0
#define WORK 1
#define FLIGHT 2
#define WAITING 3
#define PARKED 4
#define ENDED 5
byte stage[BIOS];
byte at[BIOS];	/* the slot of the path that it holds */
byte tried[BIOS], suspects[BIOS], known[BIOS];
byte answered[BIOS];	/* the slot of the path that took its time, as a set */
byte patient;	/* those that are not told to fail fast where they are */
byte renewed;	/* those that have started over after they were held */

/* What only the checks look at. */
byte met[BIOS];	/* the number of the path that it holds */
byte down[BIOS], doubtful[BIOS];	/* the paths that the bio failed on in this round */
byte slow[BIOS];	/* those of `doubtful` that took their time */
byte passed[BIOS];	/* failed on, and to be tried again */
#ifdef NOPARK
byte calm[BIOS];	/* those of `down` that took their time */
#define no_calm(b) calm[b] = 0
#else
#define no_calm(b) skip
#endif
byte ahead[BIOS];	/* parked since before the bio came */
byte order[BIOS], next_order;
bool won[BIOS];	/* it has succeeded */
bool owed;	/* a path has come, and no bio has failed on all paths since */

#define count(m) (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1))
#define fresh(b) \
	tried[b] = 0; suspects[b] = 0; answered[b] = 0; down[b] = 0; doubtful[b] = 0; slow[b] = 0; passed[b] = 0; \
	no_calm(b); renewed = renewed & ~SET(b)
#define failed_on(b) (down[b] | doubtful[b])
#define can_get(s) ((present & SET(s)) && !(closed & SET(s)))
#if BIOS == 1
#define each(what) what(0)
#elif BIOS == 2
#define each(what) what(0); what(1)
#else
#define each(what) what(0); what(1); what(2)
#endif

/* @ Multipath::set_preferred */
#define set_preferred preferred = (phase == OPEN -> usable : 0)

/* @ Path::idle */
inline idle(s) {
	if
	:: faulty & SET(s) -> needed = true
	:: else
	fi
}
/* @ Ref::drop */
inline put_path(s) {
	assert(refs[s] > 0);
	refs[s]--;
	if
	:: refs[s] == 0 && (closed & SET(s)) -> idle(s)
	:: else
	fi
}
inline get_path(b, s) {
	at[b] = s;
	met[b] = number[s];
	refs[s]++
}
/* @ Counted::close */
inline close_path(s) {
	if
	:: closed & SET(s)
	:: else ->
		closed = closed | SET(s);
		if
		:: refs[s] == 0 -> idle(s)
		:: else
		fi
	fi
}
inline get_array() { assert(!freed); array_refs++ }
inline put_array() { assert(!freed && array_refs > 0); array_refs-- }

/* @ Multipath::error, @ fail, up to where it gives `state` back; the rest is `close_failed`. */
inline error(s, did) {
	did = false;
	if
	:: detached || (faulty & SET(s)) || !(usable & SET(s))
	:: else ->
		if
		:: usable == SET(s)
		:: else ->
			usable = usable & ~SET(s);
			set_preferred;
			faulty = faulty | SET(s);
			did = true
		fi
	fi;
	assert(usable)
}
/* The proof: the path is down, or the bio that it failed has succeeded elsewhere. */
inline blame(b) {
	assert(met[b] == number[at[b]]);
	assert((down[b] & SET(at[b])) || (won[b] && ((doubtful[b] | passed[b]) & SET(at[b]))));
	error(at[b], did)
}
inline close_failed(s) {
	close_path(s);
	needed = true
}

inline ends(b) {
	assert(stage[b] != ENDED && stage[b] != NEW && !freed);
	stage[b] = ENDED;
	fresh(b);
	known[b] = 0; at[b] = 0; met[b] = 0; ahead[b] = 0; ticket[b] = 0; order[b] = 0; won[b] = false;
	patient = patient & ~SET(b);
	late = late & ~SET(b)
}

/* The I/O goes to the path that it holds. @ Remap::submit */
inline send(b) {
	assert(!freed && array_refs > 0);
	assert(!(failed_on(b) & SET(at[b])));
	passed[b] = passed[b] & ~SET(at[b]);
	assert(refs[at[b]] > 0);
	assert(ahead[b] == 0);
	stage[b] = FLIGHT
}

/* @ Parking::ended */
inline parking_ended(b) {
	if
	:: ticket[b] != 0 ->
		holders--;
		if
		:: phase == PROBING && turn == ticket[b] -> phase = RELEASING; turn = last; wake = true
		:: phase == WAIT && holders == 0 -> wake = true
		:: else
		fi;
		ticket[b] = 0; late = late & ~SET(b); order[b] = 0
	:: else
	fi
}
/* @ Parking::ticket */
inline new_ticket(b) {
	holders++; last++; ticket[b] = last;
	assert(holders <= CAP);
	next_order++; order[b] = next_order
}
/* @ Parking::park: gives whether it is parked. */
inline parking_park(b, on, is) {
	if
	:: phase == PROBING && turn != ticket[b]
	:: phase == WAIT
	:: phase == OPEN && ((ticket[b] == 0 && !(on && holders < CAP)) || (ticket[b] != 0 && (!on || (late & SET(b)))))
	:: else -> phase = WAIT; turn = 0
	fi;
	if
	:: ticket[b] == 0 && on && holders < CAP -> new_ticket(b); is = true
	:: ticket[b] == 0 && !(on && holders < CAP) -> is = false
	:: ticket[b] != 0 && on && !(late & SET(b)) -> is = true
	:: ticket[b] != 0 && (!on || (late & SET(b))) -> holders--; is = false
	fi
}
/* @ Multipath::shelve */
inline shelve(b) {
	assert(!(shelf & SET(b)));
	assert(!freed && !no_parking && b >= NOWAITS);
	shelf = shelf | SET(b);
	stage[b] = PARKED;
	at[b] = 0; met[b] = 0; ahead[b] = 0;
	set_preferred; wake = true
}
inline leave_shelf(b) {
	assert(shelf & SET(b));
	shelf = shelf & ~SET(b);
#define leaves(a) ahead[a] = ahead[a] & ~SET(b)
	each(leaves);
	owed = owed && shelf
}
/* @ Multipath::sort, @ Shelf::first */
inline first_parked(b) {
	b = NOBODY;
#define compare(a) if :: (shelf & SET(a)) && (b == NOBODY || ticket[a] < ticket[b]) -> b = a :: else fi
	each(compare)
}
#define passed_over(a, b) ((a) != (b) && (shelf & SET(a)) && order[a] < order[b])
#define is_first(a) assert(!passed_over(a, cur))

/*
 * @ Multipath::retry, @ Multipath::exhausted: by the thread, and by a submitter that found no path
 * and then was not parked. Ends at the label `retried`.
 */
inline try_paths(b, me) {
	skip;
retry:
	atomic {
		skip;
retry_now:
		n = newest;
#ifdef FINE
		offered = usable & ~failed_on(b);
#endif
		THEN
		readers = readers | me;
		/* @ History::refresh */
#define forget_answer(b, s) \
		answered[b] = answered[b] & ~SET(s)
#define remembered(b) (tried[b] | suspects[b] | answered[b])
#define refresh(b, s) \
		if \
		:: (remembered(b) & present & SET(s)) && number[s] > known[b] -> \
			tried[b] = tried[b] & ~SET(s); suspects[b] = suspects[b] & ~SET(s); forget_answer(b, s) \
		:: else \
		fi
		refresh(b, 0);
		refresh(b, 1);
		known[b] = n;
		NEXT(pick)
	};
pick:	/* @ Multipath::pick */
	atomic {
		skip;
pick_now:
		saw = usable; cand = saw & ~tried[b];
		NEXT(take)
	};
take:	/* @ Multipath::take, @ Counted::get */
	atomic {
		skip;
take_now:
		if
		:: cand & 1 -> s = 0
		:: cand & 2 -> s = 1
		:: cand == 0 -> NEXT(none)
		fi;
		cand = cand & ~SET(s);
		if
		:: !can_get(s) -> s = 0; NEXT(take)
		:: else
		fi;
		get_path(b, s);
		cand = 0; s = 0; saw = 0;
		readers = readers & ~me;
		THEN
		if
		:: met[b] > known[b] -> put_path(at[b]); at[b] = 0; met[b] = 0; NEXT(retry)
		:: else ->
			/* @ failfast */
			if
			:: usable & ~tried[b] & ~SET(at[b])
			:: else -> patient = patient | SET(b)
			fi;
			send(b)
		fi;
		n = 0;
#ifdef FINE
		offered = 0;
#endif
		goto retried
	};
none:
	atomic {
		skip;
none_now:
		if
		:: (usable & ~tried[b]) != (saw & ~tried[b]) -> NEXT(pick)
		:: else -> saw = 0
		fi;
		readers = readers & ~me;
		THEN
		on = timeout_on;
		THEN
		if
		:: !no_parking && (newest != n || (usable & ~tried[b])) -> on = false; NEXT(retry)
		:: else
		fi;
		n = 0;
		if
		/* @ History::exhausted, @ History::try_again */
		:: (suspects[b] & usable) && !(suspects[b] & usable & answered[b]) && !no_parking ->
			s = (suspects[b] & usable & 1 -> 0 : 1);
			assert(!(doubtful[b] & answered[b] & SET(s)));
			tried[b] = tried[b] & ~SET(s);
			doubtful[b] = doubtful[b] & ~SET(s);
			slow[b] = slow[b] & ~SET(s);
			passed[b] = passed[b] | SET(s);
			s = 0; on = false;
			NEXT(retry)
		:: (suspects[b] & usable) && ((suspects[b] & usable & answered[b]) || no_parking) ->
			assert(no_parking || (slow[b] & usable));
#ifdef FINE
			assert(no_parking || !(offered & usable & ~failed_on(b)));
#endif
			NEXT(answer)
		:: !(suspects[b] & usable)
		fi;
		if
		:: no_parking || b < NOWAITS -> is = false
		:: else -> parking_park(b, on, is)
		fi;
		on = false;
		if
		:: is ->
			assert(!(usable & ~down[b]));
			fresh(b);
			shelve(b);
			owed = false;
			is = false
		:: else ->
#ifdef FINE
			assert(no_parking || !(offered & usable & ~failed_on(b)));
#endif
#ifdef NOPARK
			assert(no_parking || !(usable & down[b] & ~calm[b]));
#endif
			if
			:: phase != OPEN -> wake = true
			:: else
			fi;
			ends(b)
		fi;
#ifdef FINE
		offered = 0;
#endif
		put_array();
		goto retried
	};
answer:	/* @ Multipath::answer */
	atomic {
		skip;
answer_now:
		on = false;
#ifdef FINE
		offered = 0;
#endif
		parking_ended(b);
		THEN
		ends(b);
		put_array();
		goto retried
	}
}

/* --- a bio: its submitter, then whoever completes it -------------------------------------------- */

active [BIOS] proctype Bio()
{
	byte cand, saw, s, n;
#ifdef FINE
	byte offered;
#endif
	bool did, on, is;

end_new:
	atomic {
		!no_submit && (_pid == 0 || stage[_pid - 1] != NEW) ->
		stage[_pid] = WORK;
		submitting++;
		ahead[_pid] = (phase == OPEN -> 0 : shelf)
	/* @ Adapter::make_request, @ Counted::wait_open */
#if QUIESCES || defined(STOP)
	};
end_gate:
	atomic {
#endif
		open -> get_array();
		NEXT(look)
	};
look:	/* @ Multipath::make_request, @ Multipath::pick */
	atomic {
		skip;
look_now:
		readers = readers | SET(_pid);
		saw = preferred;
		cand = saw;
		NEXT(get)
	};
get:	/* @ Multipath::take, @ Counted::get */
	atomic {
		skip;
get_now:
		if
		:: cand & 1 -> s = 0
		:: cand & 2 -> s = 1
		:: cand == 0 ->
			if
			:: preferred != saw -> NEXT(look)
			:: else -> NEXT(arrive)
			fi
		fi;
		cand = cand & ~SET(s);
		if
		:: can_get(s) ->
			get_path(_pid, s);
			cand = 0; s = 0; saw = 0;
			NEXT(got)
		:: else -> s = 0; NEXT(get)
		fi
	};
got:
	atomic {
		skip;
got_now:
		readers = readers & ~SET(_pid);
		known[_pid] = newest;
		submitting--;
		send(_pid);
		goto end_flight
	};
arrive:	/* @ Multipath::arrive */
	atomic {
		skip;
arrive_now:
		readers = readers & ~SET(_pid);
		cand = 0; saw = 0;
		known[_pid] = newest;
		if
		:: _pid < NOWAITS -> submitting--; ends(_pid); put_array(); goto end_flight
		:: else
		fi;
		THEN
		on = timeout_on;
		THEN
		/* @ Parking::arrive */
		if
		:: phase == OPEN && !no_parking -> on = false; assert(ahead[_pid] == 0); NEXT(retry)
		:: phase != OPEN && !no_parking && on && holders < CAP -> new_ticket(_pid); shelve(_pid)
		:: phase == RELEASING && !no_parking && !(on && holders < CAP) -> on = false; ahead[_pid] = 0; NEXT(retry)
		:: else -> ends(_pid)
		fi;
		on = false;
		submitting--;
		put_array();
		goto end_flight
	};
	try_paths(_pid, SET(_pid));
retried:
	submitting--;

end_flight:
	do
	/* @ Multipath::complete, @ Multipath::succeeded */
	:: atomic {
		stage[_pid] == FLIGHT ->
		stage[_pid] = WORK;
		won[_pid] = true;
		put_path(at[_pid]);
		THEN
		parking_ended(_pid);
		suspects[_pid] = suspects[_pid] & ~SET(at[_pid]);	/* what it said before has passed */
		if
		:: suspects[_pid] == 0 -> NEXT(well)
		:: else
		fi
	   };
		do
		:: atomic {
			suspects[_pid] != 0 ->
			if
			:: suspects[_pid] & 1 -> s = 0
			:: else -> s = 1
			fi;
			suspects[_pid] = suspects[_pid] & ~SET(s);
			if
			:: can_get(s) && number[s] <= known[_pid] -> get_path(_pid, s); s = 0
			:: else -> s = 0; goto acquitted
			fi;
			THEN
			blame(_pid);
			THEN
			if
			:: did -> close_failed(at[_pid]); did = false
			:: else
			fi;
			THEN
			put_path(at[_pid]);
acquitted:		skip
		   }
		:: atomic { suspects[_pid] == 0 -> NEXT(well) }
		od;
well:
		atomic {
			skip;
well_now:
			ends(_pid); put_array()
		}
	/* @ Multipath::failed, Fail; without suspects this is as above */
	:: atomic {
		stage[_pid] == FLIGHT && suspects[_pid] ->
		stage[_pid] = WORK;
		parking_ended(_pid);
		THEN
		s = at[_pid];
		ends(_pid); put_array();
		THEN
		put_path(s); s = 0
	   }
	/* … PathDown */
	:: atomic {
		stage[_pid] == FLIGHT ->
		stage[_pid] = WORK;
		down[_pid] = down[_pid] | SET(at[_pid]);
		suspects[_pid] = suspects[_pid] & ~SET(at[_pid]);
		blame(_pid);
#ifdef NOPARK
		calm[_pid] = (patient & SET(_pid) -> calm[_pid] | SET(at[_pid]) : calm[_pid]);
#endif
		if
		:: did
		/* The last one had no time. */
		:: !did && !timeout_on && !(patient & SET(_pid)) && (usable & SET(at[_pid])) ->
			down[_pid] = down[_pid] & ~SET(at[_pid]);
			doubtful[_pid] = doubtful[_pid] | SET(at[_pid]);
			suspects[_pid] = suspects[_pid] | SET(at[_pid]);
			NEXT(again)
		:: else -> NEXT(again)
		fi;
		THEN
		close_failed(at[_pid]);
		did = false;
		NEXT(again)
	   }
#ifndef PLAIN
	/* … Ambiguous */
	:: atomic {
		stage[_pid] == FLIGHT ->
		stage[_pid] = WORK;
		doubtful[_pid] = doubtful[_pid] | SET(at[_pid]);
		suspects[_pid] = suspects[_pid] | SET(at[_pid]);
		if
		:: patient & SET(_pid) -> answered[_pid] = SET(at[_pid]); slow[_pid] = slow[_pid] | SET(at[_pid])
		:: else
		fi;
		NEXT(again)
	   }
#endif
	;
again:	   atomic {
		skip;
again_now:
		patient = patient & ~SET(_pid);
		put_path(at[_pid]);
		THEN
		/* @ History::failed_on */
		tried[_pid] = tried[_pid] | SET(at[_pid]);
		at[_pid] = 0; met[_pid] = 0;
		/* @ Retries::push, @ Array::wake */
		if
		:: retries_closed -> ends(_pid); put_array()
		:: else ->
			retries = retries | SET(_pid);
			stage[_pid] = WAITING;
			wake = true
		fi
	   }
	:: atomic { stage[_pid] == ENDED -> break }
	od
}

/* --- the thread --------------------------------------------------------------------------------- */

/* @ set_sleep: what there is to do, if the thread sleeps for a limited time only. */
#define probe_due (shelf && phase == WAIT && ticks)
#define timer (sleeps_for && ((shelf & late) || probe_due || (held & due)))

active proctype Thread()
{
	byte cand, saw, n, s;
#ifdef FINE
	byte offered;
#endif
	bool on, is, sender, tick, limited;

sleep:
end_sleep:
	atomic {
		(wake || timer || thread_stop) ->
		if
		:: thread_stop -> goto stopped
		:: else
		fi;
		if
		:: probe_due -> tick = true; ticks = ticks - PROBES_END
		:: wake || (shelf & late) || (held & due)
		fi;
		wake = false;
		/* @ Multipath::thread, @ Multipath::resend, @ Retries::take */
		THEN
		batch = retries; retries = 0;
		NEXT(resend)
	};
retried:
resend:
	atomic {
		skip;
resend_now:
		cur = NOBODY;
		if
		:: batch & 1 -> cur = 0
		:: batch & 2 -> cur = 1
		:: batch & 4 -> cur = 2
		:: batch == 0 && !(held & due) -> NEXT(unpark)
		/* @ Retries::due */
		:: batch == 0 && (held & due & 1) -> cur = 0
		:: batch == 0 && (held & due & 2) -> cur = 1
		:: batch == 0 && (held & due & 4) -> cur = 2
		fi;
#ifdef HOLD
		/* @ Parking::held, @ Retries::hold */
		if
		:: batch & SET(cur) ->
			batch = batch & ~SET(cur);
			if
			:: ticket[cur] != 0 && phase == PROBING && turn == ticket[cur] -> phase = WAIT; turn = 0
			:: else
			fi;
			held = held | SET(cur);
			NEXT(resend)
		:: else
		fi;
		held = held & ~SET(cur); due = due & ~SET(cur);
		/* @ History::renew */
		n = newest;
		THEN
		readers = readers | THREAD;
		refresh(cur, 0);
		refresh(cur, 1);
		known[cur] = n; n = 0;
		readers = readers & ~THREAD;
		if
		:: batch == 0 && !(usable & ~tried[cur]) && (usable & ~suspects[cur]) && !(renewed & SET(cur)) ->
			down[cur] = down[cur] & ~(usable & ~suspects[cur]);
			tried[cur] = tried[cur] & ~(usable & ~suspects[cur]);
			renewed = renewed | SET(cur)
		:: else
		fi;
#endif
		batch = batch & ~SET(cur);
		NEXT(retry)
	};
unpark:	/* @ Multipath::unpark */
	atomic {
		skip;
unpark_now:
		if
		:: open -> get_array(); sender = true
		:: else -> sender = false
		fi;
		THEN
		on = timeout_on;
		THEN
		/* @ Parking::step */
		first_parked(cur);
		if
		:: cur == NOBODY ->
			if
			:: !on || (phase != PROBING && !(phase == WAIT && holders > 0)) -> phase = OPEN; turn = 0
			:: else
			fi;
			limited = false;
			NEXT(rest)
		/* With a path there the driver sends it all the same: as here if its time is up just after. */
		:: cur != NOBODY && (!on || (late & SET(cur))) ->
			each(is_first);
			holders--;
			leave_shelf(cur);
			stage[cur] = WORK;
			NEXT(expire)
		:: else
		fi;
		if
		:: phase == RELEASING && ticket[cur] > turn ->
			phase = OPEN; turn = 0;
#define may_be_passed(a) ahead[a] = 0
			each(may_be_passed)
		:: else
		fi;
		set_preferred;
		if
		:: sender && (phase == OPEN || phase == RELEASING)
		:: sender && phase == WAIT && tick -> phase = PROBING; turn = ticket[cur]; tick = false
		:: else -> limited = true; NEXT(rest)
		fi;
		each(is_first);
		leave_shelf(cur);
		stage[cur] = WORK;
		sender = false; on = false;
		/* @ Shelved::resume */
		NEXT(retry)
	};
expire:
	atomic {
		skip;
expire_now:
		ends(cur);
		if
		:: sender -> put_array()
		:: else
		fi;
		NEXT(unpark)
	};
rest:
	atomic {
		skip;
rest_now:
		set_preferred;
		if
		:: sender -> put_array()
		:: else
		fi;
		sleeps_for = limited || held != 0;
		sender = false; on = false; limited = false; tick = false; cur = NOBODY;
		goto sleep
	};
	try_paths(cur, THREAD);
stopped:
	thread_gone = true
}

/* --- time --------------------------------------------------------------------------------------- */

/* The time of the first of those that have parked is up before that of the others. */
#define waits(b) (ticket[b] && !(late & SET(b)))
#define earlier(a, b) (a != b && waits(a) && ticket[a] < ticket[b])
#if BIOS > 2
#define oldest(b) (waits(b) && !earlier(0, b) && !earlier(1, b) && !earlier(2, b))
#elif BIOS > 1
#define oldest(b) (waits(b) && !earlier(0, b) && !earlier(1, b))
#else
#define oldest(b) waits(b)
#endif
#if defined(EXPIRY) || defined(HOLD)
active proctype Clock()
{
end:	do
#ifdef EXPIRY
	:: atomic { oldest(0) -> late = late | 1 }
#if BIOS > 1
	:: atomic { oldest(1) -> late = late | 2 }
#endif
#if BIOS > 2
	:: atomic { oldest(2) -> late = late | 4 }
#endif
#endif
#ifdef HOLD
	:: atomic { held & ~due & 1 -> due = due | 1 }
	:: atomic { held & ~due & 2 -> due = due | 2 }
	:: atomic { held & ~due & 4 -> due = due | 4 }
#endif
	od
}
#endif

/* --- md core and the administrator -------------------------------------------------------------- */

#define has_free (present != 3)
#ifdef FINE
#define may_add !detached
#else
#define may_add (!detached && has_free)
#endif

active proctype Core()
{
	byte s, grace;
#if FAILS
	byte fails = FAILS;
	bool did;
#endif
#if ADDS
	byte adds = ADDS;
#endif
#if QUIESCES
	byte quiesces = QUIESCES;
#endif

end_idle:
	do
	:: atomic { needed && !(present & faulty) && !(wanted && has_free) -> needed = false }
	:: atomic { needed && ((present & faulty) || (wanted && has_free)) -> NEXT(pass) }
#if ADDS
	:: atomic { adds > 0 && may_add -> adds--; wanted++; needed = true; NEXT(pass) }
#endif
#if FAILS
	/* The administrator fails a path. */
	:: atomic {
		fails > 0 && !detached ->
		fails--;
		if
		:: s = 0
		:: s = 1
		fi;
		if
		:: present & SET(s) -> error(s, did)
		:: else
		fi;
		THEN
		if
		:: did -> close_failed(s); did = false
		:: else
		fi;
		s = 0
	   }
#endif
#if QUIESCES
	/* @ Adapter::quiesce, @ Counted::drain, @ Counted::reopen */
	:: atomic { quiesces > 0 -> quiesces--; core_busy = true; open = false };
		array_refs == 0;
		atomic { assert(array_refs == 0); open = true; THEN wake = true; core_busy = false }
#endif
#ifdef ZERO
	/* 0 is written to no_path_timeout_ms. */
	:: atomic { timeout_on -> timeout_on = false; THEN wake = true }
#endif
#ifdef STOP
	:: atomic { !no_submit && submitting == 0 -> no_submit = true; core_busy = true; open = false };
		array_refs == 0;
		atomic { open = true; THEN wake = true };
		/* @ Adapter::free, @ Thread::stop */
		atomic { detached = true; thread_stop = true };
		thread_gone;
		/* @ Multipath::stop, @ Retries::close */
		atomic {
			retries_closed = true;
			s = retries | held;
			retries = 0; held = 0; due = 0;
#define give_up(b) if :: s & SET(b) -> ends(b); put_array() :: else fi
			each(give_up);
			s = 0;
			THEN
			no_parking = true;
			s = shelf;
			shelf = 0;
#define give_away(b) if :: s & SET(b) -> ends(b) :: else fi
			each(give_away);
			s = 0
		};
		/* @ Table::close, @ Counted::drop */
		open = false;
		array_refs == 0;
		atomic {
			refs[0] == 0 && refs[1] == 0 -> freed = true; core_busy = false;
			assert(shelf == 0 && held == 0 && retries == 0);
			break
		}
#endif
	od;
pass:
	atomic {
		skip;
pass_now:
		needed = false; core_busy = true;
		s = 0;
		NEXT(hot_remove)
	};
hot_remove:	/* @ Multipath::hot_remove, @ Counted::try_drain */
	atomic {
		skip;
hot_remove_now:
		if
		:: s == SLOTS -> s = 0; NEXT(hot_add)
		:: s < SLOTS && !(present & faulty & SET(s)) -> s++; NEXT(hot_remove)
		:: else
		fi;
		close_path(s);
		THEN
		if
		:: refs[s] == 0 ->
			present = present & ~SET(s);
			closed = closed & ~SET(s);
			faulty = faulty & ~SET(s);
			assert(!(usable & SET(s)));
			grace = readers
		:: else
		fi;
		assert((present & SET(s)) || refs[s] == 0);
		s++;
		THEN
		/* @ Pointer::update */
		(readers & grace) == 0 -> grace = 0;
		NEXT(hot_remove)
	};
hot_add:	/* @ Multipath::hot_add */
	atomic {
		skip;
hot_add_now:
		if
		:: wanted && has_free
		:: else -> NEXT(over)
		fi;
		wanted--;
		s = (present & 1 -> 1 : 0);
		present = present | SET(s);
		number[s] = newest + 1;
#define forget(b) \
		down[b] = down[b] & ~SET(s); doubtful[b] = doubtful[b] & ~SET(s); slow[b] = slow[b] & ~SET(s); \
		passed[b] = passed[b] & ~SET(s)
		each(forget);
		grace = readers;
		THEN
		(readers & grace) == 0 -> grace = 0;
		newest++;
		THEN
		usable = usable | SET(s);
		set_preferred;
		owed = (shelf != 0);
		/* @ Parking::path_came */
		if
		:: phase != OPEN -> phase = RELEASING; turn = last; wake = true
		:: else
		fi;
		s = 0;
		NEXT(hot_add)
	};
over:	atomic {
		skip;
over_now:
		core_busy = false;
		goto end_idle
	}
}

/* --- at the end --------------------------------------------------------------------------------- */

#ifdef EXPIRY
#define may_rest(b) (stage[b] == ENDED || (stage[b] == NEW && no_submit))
#else
#define may_rest(b) (stage[b] == ENDED || (stage[b] == PARKED && !freed) || (stage[b] == NEW && no_submit))
#endif
#define rests(b) assert(may_rest(b))

active proctype Check()
{
end:	timeout ->
	d_step {
		assert(!core_busy);
		each(rests);
		assert(array_refs == 0 && refs[0] == 0 && refs[1] == 0);
		assert(readers == 0 && retries == 0 && held == 0 && batch == 0 && submitting == 0);
		assert(freed || !(present & faulty));
		assert(freed || phase == (shelf -> WAIT : OPEN));
		assert(freed || preferred == (phase == OPEN -> usable : 0));
		assert(freed || holders == count(shelf));
		assert(!owed || shelf == 0);
		assert(timeout_on || shelf == 0)
	}
}
