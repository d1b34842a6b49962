/* The merge rules (docs/conflicts.md) as a protocol, for spin: every order in which a few nodes can write, read each
 * other's logs, decide, settle and crash, not a random choice of them. spin.py has the shapes in which it is searched,
 * and searches each to the end.
 *
 * A transaction writes one row. It is told by a number, and so is the value that it gives to a column: a cell holds who
 * wrote it. What a transaction knew is a set of transactions, a bit each. A link has no state of its own: it gives the
 * next transaction of the peer's log that this node lacks. Those that the node has are passed over at once and tell
 * that the peer has them; no order is missed by that, since a row that may settle may always settle later.
 *
 * NODES, CHAIN    CHAIN: 0 and 1 see each other only through 2
 * WRITES, EACH    how many writes applications do, on all nodes together and on one
 * ROWS, VALUES    VALUES > 0: column 0 is unique and takes so many values. Two rows at most
 * CLOCKS          a clock may tell any of so many times, at any moment
 * CRASHES         how often a node may lose its memory
 * WITHOUT_X       rule X is left out, and some assertion has to fail
 */
#ifndef NODES
#define NODES 2
#endif
#ifndef WRITES
#define WRITES 3
#endif
#ifndef EACH
#define EACH WRITES
#endif
#ifndef ROWS
#define ROWS 1
#endif
#ifndef VALUES
#define VALUES 0
#endif
#ifndef CLOCKS
#define CLOCKS 2
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#define COLUMNS 2

#if VALUES > 0
#define PER_NODE (2 * EACH) /* each claim may lose, and its row be deleted for that */
#else
#define PER_NODE EACH
#endif
#define NOBODY 0
#define FIRST 1 /* wrote the row that is there from the start */
#define FIRST_OF(node) (2 + (node) * PER_NODE)
#define TXNS (2 + NODES * PER_NODE)
#define ORIGIN(txn) (((txn) - 2) / PER_NODE)

#define BIT(x) (1 << (x))
#define HAS(set, x) (((set) >> (x)) & 1)
#define CELL(node, row, column) (((node) * ROWS + (row)) * COLUMNS + (column))
#define EVERY_COLUMN (BIT(COLUMNS) - 1)

#ifdef CHAIN
#define LINKED(a, b) ((a) == 2 || (b) == 2)
#else
#define LINKED(a, b) 1
#endif

/* ---- What was written: the same for whoever reads it ---- */

int of_row[ROWS], of_column[COLUMNS], deletes, decisions; /* transactions by what they are */
int knew[TXNS];                                           /* context */
int known_to[TXNS];                                       /* the same the other way round */
short stamp[TXNS];                                        /* time, depth, origin */
byte claim[TXNS];                                         /* the value for column 0, if that is unique */

/* ---- Nodes ---- */

byte log[NODES * TXNS], log_size[NODES];
int have[NODES];                   /* its vector */
int left[NODES];                   /* what has left its window … */
byte base[NODES * ROWS * COLUMNS]; /* … and what that amounts to */
byte due[NODES * ROWS * COLUMNS], shown[NODES * ROWS * COLUMNS];
byte loser[NODES];                 /* 1 + the row that it has to delete, 0: none */
byte settled[NODES];               /* the rows that may leave its window now */
byte written[NODES];               /* its transactions */
byte writes[NODES], writes_in_all; /* of applications: all but decisions */
byte crashes;
bit has_first;                     /* row 0 is there from the start */

/* ---- Records: by column, the transactions whose value is told to have lost; by their origins only ---- */

int told[COLUMNS];     /* in its memory */
int recorded[COLUMNS]; /* in its database */
int decided[COLUMNS];  /* as a part of a row that was deleted for its unique value */

/* ---- Properties (docs/conflicts.md): variables, so that pan says by name which one fails ---- */

hidden byte convergence, no_write_lost, no_false_conflict, recorded_once, stamps_follow_causality, causal_order;
hidden byte no_row_held_for_ever, unique_values_are_unique, rebuilt_from_the_log, everything_arrives;

/* ---- Scratch: set before it is used in each step, so no part of the state ---- */

hidden byte i, j, r, c, o, t, w, n, m, k, pass, best, time, known_count;
hidden int window, killers, everywhere, peer_has, lost, moving, values[2];
hidden byte saved_shown[ROWS * COLUMNS];
hidden int saved_told[COLUMNS];
hidden byte is_rebuilding;

#define IS_THERE(cells, node, row) (cells[CELL(node, row, 0)] != NOBODY)
#define IS_SHOWN_AS_DUE(node, row) \
	(shown[CELL(node, row, 0)] == due[CELL(node, row, 0)] && shown[CELL(node, row, 1)] == due[CELL(node, row, 1)])
#define WINDOW(node, row) (have[node] & ~left[node] & of_row[row])
#define CLAIM(cells, node, row) claim[cells[CELL(node, row, 0)]]
#define RANK(node, txn) (HAS(left[node], txn) -> 0 : stamp[txn]) /* what is settled is older than every stamp */

/* Rules 1 and 2: column by column the highest-stamped write that knew every delete. */
inline find_due(me)
{
	for (r : 0 .. ROWS - 1) {
		window = WINDOW(me, r);
		killers = window & deletes;
		for (c : 0 .. COLUMNS - 1) {
			best = base[CELL(me, r, c)];
#ifndef WITHOUT_DELETE
			if
			:: killers != 0 -> best = NOBODY
			:: else
			fi;
#endif
			for (i : 0 .. log_size[me] - 1) {
				t = log[me * TXNS + i];
				if
#ifdef WITHOUT_DELETE /* it deletes what it finds */
				:: HAS(killers, t) -> best = NOBODY
				:: HAS(window & of_column[c], t) && (best == NOBODY || RANK(me, best) < stamp[t]) -> best = t
#elif defined(WITHOUT_REGISTER) /* what comes last wins */
				:: HAS(window & of_column[c], t) && (killers & ~knew[t]) == 0 -> best = t
#else
				:: HAS(window & of_column[c], t) && (killers & ~knew[t]) == 0 &&
					(best == NOBODY || RANK(me, best) < stamp[t]) -> best = t
#endif
				:: else
				fi
			}
			due[CELL(me, r, c)] = best
		}
		if
		:: due[CELL(me, r, 0)] == NOBODY || due[CELL(me, r, 1)] == NOBODY ->
			due[CELL(me, r, 0)] = NOBODY;
			due[CELL(me, r, 1)] = NOBODY
		:: else
		fi
	}
}

inline show_as_due(me, row)
{
	shown[CELL(me, row, 0)] = due[CELL(me, row, 0)];
	shown[CELL(me, row, 1)] = due[CELL(me, row, 1)]
}

/* Rule 3: which rows have lost their unique value, and which of them this node has to delete. */
inline find_losers(me)
{
	lost = 0;
	loser[me] = 0;
#if VALUES > 0
	for (r : 0 .. ROWS - 1) {
		for (o : 0 .. ROWS - 1) {
			if
			:: r != o && IS_THERE(due, me, r) && IS_THERE(due, me, o) && CLAIM(due, me, r) == CLAIM(due, me, o) &&
				RANK(me, due[CELL(me, r, 0)]) > RANK(me, due[CELL(me, o, 0)]) -> lost = lost | BIT(r)
			:: else
			fi
		}
		w = due[CELL(me, r, 0)];
		if
#ifndef WITHOUT_DECIDE
		:: HAS(lost, r) && loser[me] == 0 && !HAS(left[me], w) && ORIGIN(w) == me -> loser[me] = 1 + r
#endif
		:: else
		fi
	}
#endif
}

/* What is due and stands in nobody's way; what doesn't change stays. */
inline show_rows(me)
{
	moving = 0;
	for (r : 0 .. ROWS - 1) {
		if
		:: !IS_THERE(due, me, r) -> show_as_due(me, r)
		:: IS_THERE(due, me, r) && !IS_SHOWN_AS_DUE(me, r) && !HAS(lost, r) -> moving = moving | BIT(r)
		:: else
		fi
	}
#if VALUES > 0 && !defined(WITHOUT_HOLD)
	for (pass : 1 .. ROWS) {
		for (r : 0 .. ROWS - 1) {
			for (o : 0 .. ROWS - 1) {
				if
				:: r != o && HAS(moving, r) && !HAS(moving, o) && IS_THERE(shown, me, o) &&
					CLAIM(shown, me, o) == CLAIM(due, me, r) -> moving = moving & ~BIT(r)
				:: else
				fi
			}
		}
	}
#endif
	for (r : 0 .. ROWS - 1) {
		if
		:: HAS(moving, r) -> show_as_due(me, r)
		:: else
		fi
	}
#if VALUES > 0
	for (r : 0 .. ROWS - 1) { /* a loser is shown while nothing stands in its way */
		w = HAS(lost, r) && !IS_THERE(shown, me, r);
		for (o : 0 .. ROWS - 1) {
			if
			:: w && o != r && IS_THERE(shown, me, o) && CLAIM(shown, me, o) == CLAIM(due, me, r) -> w = 0
			:: else
			fi
		}
		if
		:: w -> show_as_due(me, r)
		:: else
		fi
	}
	for (r : 0 .. ROWS - 1) {
		for (o : 0 .. r) {
			unique_values_are_unique = r == o || !IS_THERE(shown, me, r) || !IS_THERE(shown, me, o) ||
				CLAIM(shown, me, r) != CLAIM(shown, me, o);
			assert(unique_values_are_unique)
		}
	}
#endif
}

inline write_record(txn, column)
{
	told[column] = told[column] | BIT(txn);
	if
	:: !is_rebuilding ->
		recorded_once = !HAS(recorded[column], txn);
		assert(recorded_once);
		recorded[column] = recorded[column] | BIT(txn)
	:: else
	fi
}

/* Rule 6: this node's writes that lost a column. */
inline record(me)
{
#ifndef WITHOUT_RECORD
	for (i : 0 .. written[me] - 1) {
		t = FIRST_OF(me) + i;
		for (c : 0 .. COLUMNS - 1) {
			for (r : 0 .. ROWS - 1) {
				window = WINDOW(me, r);
				killers = window & deletes & ~knew[t];
				w = due[CELL(me, r, c)];
				if
				:: HAS(window & of_column[c], t) && !HAS(told[c], t) &&
#ifndef WITHOUT_CONTEXT
					(known_to[t] & window & (of_column[c] | deletes)) == 0 &&
#endif
					(killers != 0 || (w != NOBODY && w != t)) ->
					no_false_conflict = (killers != 0 && (killers & ~known_to[t]) != 0) ||
						(killers == 0 && !HAS(known_to[t], w) && !HAS(knew[t], w));
					assert(no_false_conflict);
					write_record(t, c)
				:: else
				fi
			}
		}
	}
#else
	skip
#endif
}

inline apply(me, txn)
{
	log[me * TXNS + log_size[me]] = txn;
	log_size[me]++;
	have[me] = have[me] | BIT(txn);
	for (c : 0 .. COLUMNS - 1) {
		for (r : 0 .. ROWS - 1) {
			if /* what is done here shows here, also on a row whose new version is held back */
			:: ORIGIN(txn) == me && HAS(of_row[r] & of_column[c], txn) && IS_THERE(shown, me, r) -> shown[CELL(me, r, c)] = txn
			:: else
			fi
		}
	}
	find_due(me);
	find_losers(me);
	show_rows(me);
	record(me)
}

/* ---- Steps ---- */

/* The row's columns get new values, or with no columns it is deleted. */
inline commit(me, row, columns, value, clock)
{
	t = FIRST_OF(me) + written[me];
	written[me]++;
	time = clock;
	known_count = 1;
	for (i : 2 .. TXNS - 1) {
		if
		:: HAS(have[me], i) ->
			known_to[i] = known_to[i] | BIT(t);
			known_count++;
#ifndef WITHOUT_CLOCK
			time = (stamp[i] >> 8 > time -> stamp[i] >> 8 : time)
#endif
		:: else
		fi
	}
	knew[t] = have[me];
	stamp[t] = time << 8 | known_count << 2 | me;
	for (i : 2 .. TXNS - 1) {
		stamps_follow_causality = !HAS(have[me], i) || stamp[i] < stamp[t];
		assert(stamps_follow_causality)
	}
	of_row[row] = of_row[row] | BIT(t);
	for (c : 0 .. COLUMNS - 1) {
		of_column[c] = of_column[c] | (HAS(columns, c) << t)
	}
	deletes = deletes | ((columns == 0) << t);
	claim[t] = value;
	n = t; /* apply() uses t */
	apply(me, n)
}

/* Rule 3: the loser's origin deletes it; the record has the whole row. */
inline decide(me)
{
	k = loser[me] - 1;
	m = due[CELL(me, k, 0)];
	w = due[CELL(me, ROWS - 1 - k, 0)]; /* it lost to this one */
	no_false_conflict = !HAS(knew[m], w) && !HAS(known_to[m], w);
	assert(no_false_conflict);
	for (c : 0 .. COLUMNS - 1) {
		decided[c] = decided[c] | BIT(due[CELL(me, k, c)])
	}
#ifndef WITHOUT_RECORD
	write_record(m, 0);
#endif
	decisions = decisions | BIT(FIRST_OF(me) + written[me]);
	commit(me, k, 0, 0, 0)
}

#ifdef WITHOUT_RELAY /* a log gives its node's own transactions only */
#define GIVES(peer) (((1 << PER_NODE) - 1) << FIRST_OF(peer))
#else
#define GIVES(peer) (-1)
#endif
#define CAN_READ(me, peer) (me != peer && LINKED(me, peer) && (have[peer] & ~have[me] & GIVES(peer)) != 0)

inline read(me, peer)
{
	n = 0;
	for (i : 0 .. log_size[peer] - 1) {
		t = log[peer * TXNS + i];
		if
		:: n == 0 && HAS(~have[me] & GIVES(peer), t) -> n = t
		:: else
		fi
	}
	causal_order = (knew[n] & ~have[me]) == 0;
	assert(causal_order);
	apply(me, n)
}

/* Rule 5. A group, the rows that have had a value in common, leaves together. */
inline settle(me, row)
{
	k = settled[me];
	for (r : 0 .. ROWS - 1) {
		if
		:: r == row || HAS(k, 7) ->
			left[me] = left[me] | WINDOW(me, r);
			base[CELL(me, r, 0)] = due[CELL(me, r, 0)];
			base[CELL(me, r, 1)] = due[CELL(me, r, 1)]
		:: else
		fi
	}
	find_due(me);
	find_losers(me)
}

/* What every node is known to have: known are a node's contexts, and its log as far as it was read. */
inline find_everywhere(me)
{
	everywhere = have[me];
#ifndef WITHOUT_SETTLE
	for (m : 0 .. NODES - 1) {
		peer_has = BIT(FIRST);
		for (t : FIRST_OF(m) .. FIRST_OF(m) + written[m] - 1) {
			if
			:: HAS(have[me], t) -> peer_has = peer_has | knew[t] | BIT(t)
			:: else
			fi
		}
		w = LINKED(me, m);
		for (i : 0 .. log_size[m] - 1) {
			t = log[m * TXNS + i];
			w = w && HAS(have[me], t);
			peer_has = peer_has | (w << t)
		}
		if
		:: m != me -> everywhere = everywhere & peer_has
		:: else
		fi
	}
#endif
}

/* The rows that may leave the window; bit 7: together. */
inline find_settled(me)
{
	find_everywhere(me);
	settled[me] = 0;
	for (r : 0 .. ROWS - 1) {
		window = WINDOW(me, r);
		if
#ifdef WITHOUT_SETTLE
		:: window != 0 && (window & ~everywhere) == 0 -> settled[me] = settled[me] | BIT(r)
#else
		:: window != 0 && (window & ~everywhere) == 0 && IS_SHOWN_AS_DUE(me, r) -> settled[me] = settled[me] | BIT(r)
#endif
		:: else
		fi
	}
#if VALUES > 0 && !defined(WITHOUT_SETTLE) && !defined(WITHOUT_GROUP)
	for (r : 0 .. ROWS - 1) {
		window = WINDOW(me, r);
		values[r] = (base[CELL(me, r, 0)] != NOBODY && window != 0 -> BIT(CLAIM(base, me, r)) : 0);
		for (t : 2 .. TXNS - 1) {
			values[r] = values[r] | (HAS(window & of_column[0], t) << claim[t])
		}
	}
	if
	:: (values[0] & values[1]) == 0
	:: (values[0] & values[1]) != 0 && settled[me] == 3 -> settled[me] = 131
	:: else -> settled[me] = 0
	fi
#endif
}

/* Memory is lost, the log and the tables aren't. The state comes out of the log again. */
inline crash(me)
{
	for (r : 0 .. ROWS - 1) {
		for (c : 0 .. COLUMNS - 1) {
			saved_shown[CELL(0, r, c)] = shown[CELL(me, r, c)];
			base[CELL(me, r, c)] = (r == 0 && has_first -> FIRST : NOBODY);
			shown[CELL(me, r, c)] = base[CELL(me, r, c)]
		}
	}
	left[me] = BIT(FIRST);
	have[me] = BIT(FIRST);
	for (c : 0 .. COLUMNS - 1) {
		saved_told[c] = told[c];
		told[c] = told[c] & ~(((1 << PER_NODE) - 1) << FIRST_OF(me))
	}
	k = log_size[me];
	log_size[me] = 0;
	is_rebuilding = 1;
	for (j : 0 .. k - 1) {
		n = log[me * TXNS + j];
		rebuild_decision(me, n);
		apply(me, n)
	}
	is_rebuilding = 0;
	for (r : 0 .. ROWS - 1) {
		for (c : 0 .. COLUMNS - 1) {
			rebuilt_from_the_log = saved_shown[CELL(0, r, c)] == shown[CELL(me, r, c)] && saved_told[c] == told[c];
			assert(rebuilt_from_the_log)
		}
	}
#ifdef WITHOUT_REBUILD /* what was told is forgotten */
	for (c : 0 .. COLUMNS - 1) {
		told[c] = told[c] & ~(((1 << PER_NODE) - 1) << FIRST_OF(me))
	}
#endif
	record(me)
}

/* A decision of this node's says what was told with it. */
inline rebuild_decision(me, txn)
{
	if
	:: HAS(decisions, txn) && ORIGIN(txn) == me ->
		assert(loser[me] != 0);
		t = due[CELL(me, loser[me] - 1, 0)];
		write_record(t, 0)
	:: else
	fi
}

#if NODES == 2
#define ALL_EQUAL (have[0] == have[1])
#define NO_LOSER (loser[0] + loser[1] == 0)
#else
#define ALL_EQUAL (have[0] == have[1] && have[0] == have[2])
#define NO_LOSER (loser[0] + loser[1] + loser[2] == 0)
#endif
#define ANY_READ(me) (CAN_READ(me, 0) || CAN_READ(me, 1) || CAN_READ(me, NODES - 1))

/* Each value is shown, recorded, or was overwritten or deleted by somebody who knew it. */
inline check_losses()
{
	for (t : 2 .. TXNS - 1) {
		for (r : 0 .. ROWS - 1) {
			for (c : 0 .. COLUMNS - 1) {
				no_write_lost = !HAS(of_row[r] & of_column[c], t) || shown[CELL(0, r, c)] == t ||
					HAS(recorded[c] | decided[c], t) ||
					(known_to[t] & of_row[r] & (of_column[c] | (deletes & ~decisions))) != 0;
				assert(no_write_lost)
			}
		}
	}
}

/* After each step; and what must hold whenever nothing is under way. */
inline check()
{
	for (n : 0 .. NODES - 1) {
		find_settled(n)
	}
	if
	:: !ANY_READ(0) && !ANY_READ(1) && !ANY_READ(NODES - 1) && NO_LOSER ->
		everything_arrives = ALL_EQUAL;
		assert(everything_arrives);
		for (n : 0 .. NODES - 1) {
			for (r : 0 .. ROWS - 1) {
				for (c : 0 .. COLUMNS - 1) {
					convergence = shown[CELL(n, r, c)] == shown[CELL(0, r, c)];
					assert(convergence)
				}
				no_row_held_for_ever = IS_SHOWN_AS_DUE(n, r);
				assert(no_row_held_for_ever)
			}
		}
		check_losses()
	:: else
	fi
}

#define IS_FREE(node, value) \
	(!(IS_THERE(shown, node, 0) && CLAIM(shown, node, 0) == value) && \
	 !(IS_THERE(shown, node, ROWS - 1) && CLAIM(shown, node, ROWS - 1) == value))

#if VALUES == 0
#define ANY_FREE(node) 1
#elif VALUES == 1
#define ANY_FREE(node) IS_FREE(node, 1)
#else
#define ANY_FREE(node) (IS_FREE(node, 1) || IS_FREE(node, 2) || IS_FREE(node, VALUES))
#endif
#define CAN_WRITE(node, row) (IS_THERE(shown, node, row) || ANY_FREE(node))

proctype node(byte me)
{
	byte row, columns, value, clock, peer;
end:
	do
	:: atomic { /* an application writes, as the server lets it, given what the node shows */
		writes_in_all < WRITES && writes[me] < EACH && (CAN_WRITE(me, 0) || CAN_WRITE(me, ROWS - 1)) ->
#if ROWS > 1
		if
		:: CAN_WRITE(me, 0)
		:: CAN_WRITE(me, 1) -> row = 1
		fi;
#endif
		if
		:: !IS_THERE(shown, me, row) -> columns = EVERY_COLUMN
		:: IS_THERE(shown, me, row) -> columns = 0
		:: IS_THERE(shown, me, row) && ANY_FREE(me) -> columns = 1
		:: IS_THERE(shown, me, row) -> columns = 2
		fi;
#if VALUES > 0
		if
		:: !HAS(columns, 0)
		:: HAS(columns, 0) && IS_FREE(me, 1) -> value = 1
#if VALUES > 1
		:: HAS(columns, 0) && IS_FREE(me, 2) -> value = 2
#endif
#if VALUES > 2
		:: HAS(columns, 0) && IS_FREE(me, 3) -> value = 3
#endif
		fi;
#endif
		select (clock : 0 .. CLOCKS - 1);
		d_step {
			writes_in_all++;
			writes[me]++;
			commit(me, row, columns, value, clock);
			check();
			row = 0; columns = 0; value = 0; clock = 0
		}
	   }
	:: d_step { loser[me] != 0 -> decide(me); check() }
	:: atomic {
		ANY_READ(me) ->
		if
		:: CAN_READ(me, 0) -> peer = 0
		:: CAN_READ(me, 1) -> peer = 1
#if NODES > 2
		:: CAN_READ(me, 2) -> peer = 2
#endif
		fi;
		d_step { read(me, peer); check(); peer = 0 }
	   }
	:: d_step { HAS(settled[me], 0) -> settle(me, 0); check() }
#if ROWS > 1
	:: d_step { HAS(settled[me], 1) && !HAS(settled[me], 7) -> settle(me, 1); check() }
#endif
#if CRASHES > 0
	:: d_step { crashes < CRASHES && log_size[me] > 0 -> crashes++; crash(me); check() }
#endif
	od
}

init {
	atomic {
		if
		:: has_first = 0
		:: has_first = 1
		fi;
		d_step {
			claim[FIRST] = 1;
			for (n : 0 .. NODES - 1) {
				have[n] = BIT(FIRST);
				left[n] = BIT(FIRST);
				for (c : 0 .. COLUMNS - 1) {
					base[CELL(n, 0, c)] = (has_first -> FIRST : NOBODY);
					due[CELL(n, 0, c)] = base[CELL(n, 0, c)];
					shown[CELL(n, 0, c)] = base[CELL(n, 0, c)]
				}
			}
		}
		for (i : 0 .. NODES - 1) {
			run node(i)
		}
	}
	/* Nodes may wait here, and this process only until all is done: no other end is a valid one. */
	writes_in_all == WRITES && ALL_EQUAL && NO_LOSER
}
