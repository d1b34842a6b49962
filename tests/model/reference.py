#!/usr/bin/env python3
"""The merge rules as a program that is short and slow on purpose: what src/merge has to come out as (docs/conflicts.md).

N nodes share a parent table p(pk, u UNIQUE, w UNIQUE, v) and two child tables, c(pk, fk -> p.pk ON DELETE SET NULL, v) and
r(pk, fk -> p.pk ON DELETE CASCADE, v). Applications write at every node under the constraints of what that node shows; links are
cut and mended; clocks jump. After healing, every node must show the same tables.

    reference.py [SEEDS [FIRST]]          random runs, checked
    reference.py --without RULE [SEEDS]   leaves one rule out: the checks must notice
    reference.py --script SEED            one run as a script for tests/model/replay.c, with what each node shows at every step

Rules
 log        a node's log is a causal order: its own transactions and, between them, those it applied, each with its origin's seq and
            context. A link reads a peer's log from a cursor and applies what this node's vector lacks, whoever the origin is.
 clock      a stamp is (time, depth, origin): the latest commit time among the transaction and all it knew, which is the latest in its
            origin's log up to it, and the sum of the seqs of all it knew. Every reader of a log derives it alike.
 register   a row is, column by column, the highest-stamped surviving write that changed the column. A write survives if every
            delete of its key is in its context.
 decide     of two rows with one unique value, the claim (the write that gave the row the value) with the lower stamp stays. The origin
            of the losing claim deletes its row, as an ordinary transaction. Every other node meanwhile goes on showing what it
            shows and holds back what collides with it, and the children of a held row. Versions that only stand in each other's way
            (two rows swap a value) are shown together.
 reference  a reference written without knowing of its parent's delete is what the delete would have made it: NULL, or for CASCADE and
            RESTRICT the row is gone. So it is even if the parent's key lives again by now.
 settle     a key leaves the window when all its writes are known to be in every node's vector …
 group      … and so are those of the rows that have had a unique value in common with it. Settled alone, a claim that lost has no
            stamp any more, becomes the older one, and both rows are deleted.
 policy     a column may have another policy than "the highest stamp": it decides among the surviving writes that no other surviving
            write to the column knew. delta_apply adds up what every surviving write added; an insert adds to nothing, and ends what
            was added to a row that it knew of.
 excess     a sum that the column can't hold is shown as the nearest that it can, and stays in the window.

Seeds from 1000 K on have the K-th of POLICIES.
"""
import collections
import random
import sys

# changes: [(op, table, pk, {column: value})]; deltas: {(table, pk): what it adds to v}
Txn = collections.namedtuple("Txn", "origin seq time ctx stamp changes deltas")
SETTLED = (-1, 0, 0)  # lower than any stamp
COLUMNS = {"p": ("u", "w", "v"), "c": ("fk", "v"), "r": ("fk", "v")}
UNIQUE = ("u", "w")
RULES = ("clock", "settle", "group", "decide", "reference", "register", "policy", "excess")
LAST, FIRST, SITE, MAX, MIN, DELTA, ERROR = ("last_update_wins", "first_update_wins", "site_priority", "max", "min", "delta_apply",
                                             "error")
# of v, of the other columns
POLICIES = ((LAST, LAST), (FIRST, FIRST), (SITE, SITE), (MAX, LAST), (MIN, FIRST), (DELTA, LAST), (ERROR, SITE), (DELTA, SITE))
SITES = (2, 0)  # of site_priority: nodes 1 and 3 stand behind
V_MAX = 2 ** 32 - 1  # v is unsigned, of four bytes
GONE = "gone with its parent"
without = set()


class Write:
    def __init__(self, txn, op, table, pk, cols):
        self.origin, self.seq, self.stamp, self.ctx = txn.origin, txn.seq, txn.stamp, txn.ctx
        self.op, self.cols, self.delta = op, dict(cols), txn.deltas.get((table, pk))

    def knew(self, other):
        return other.seq <= self.ctx[other.origin]


def choose(policy, col, writes):
    """Of writes to the column that survive."""
    if policy != LAST and "policy" not in without:
        writes = [w for w in writes if not any(x.knew(w) for x in writes)]
    if "register" in without:
        return writes[-1]
    if policy in (FIRST, ERROR):
        return min(writes, key=lambda w: w.stamp)
    return max(writes, key=lambda w: (
        -(SITES + (w.origin,)).index(w.origin) if policy == SITE and w.origin in SITES else
        -len(SITES) if policy == SITE else w.cols[col] if policy == MAX else -w.cols[col] if policy == MIN else 0, w.stamp))


def add_up(base, writes):
    """What v comes to: base and what these writes, which survive, added."""
    inserts = [w for w in writes if w.op == "I"]

    def counts(write):
        start = max((i for i in inserts if i is write or write.knew(i)), key=lambda i: i.stamp, default=None)
        return not any(i is not start and (start is None or i.knew(start)) for i in inserts)

    return (base["v"] if base and not inserts else 0) + sum(w.delta for w in writes if "v" in w.cols and counts(w))


class Node:
    def __init__(self, me, count, rng, script, claimed, policies):
        self.me, self.count, self.rng, self.script, self.policies = me, count, rng, script, policies
        self.claimed = claimed  # for the checks: when each value was given to each row
        self.vector = [0] * count
        self.log, self.clock, self.latest = [], 100, 0  # latest: of the times in its log
        self.cursor = [0] * count  # per peer: how far its log is read
        self.peer_latest = [0] * count  # per peer: the same, up to the cursor
        self.known = [[0] * count for _ in range(count)]  # per node: what it is known to have
        self.window, self.base = collections.defaultdict(list), {}
        self.shown = {"p": {}, "c": {}, "r": {}}
        self.next_pk, self.decisions = me + 1, 0

    # -- registers
    def surviving(self, key):
        """(the base, the writes)"""
        writes = self.window.get(key, [])
        deletes = [w for w in writes if w.op == "D"]
        return self.base.get(key) if not deletes else None, [w for w in writes if w.op != "D" and all(map(w.knew, deletes))]

    def columns(self, key):
        """({column: value} or None, {column: stamp}); the row may be gone with its parent"""
        base, writes = self.surviving(key)
        row, stamps = dict(base or {}), dict.fromkeys(base or {}, SETTLED)
        for col in COLUMNS[key[0]]:
            those, policy = [w for w in writes if col in w.cols], self.policies[col != "v"]
            if those:
                chosen = choose(policy, col, those)
                row[col], stamps[col] = chosen.cols[col], chosen.stamp
            if policy == DELTA and col in row:
                row[col] = min(max(add_up(base, writes), 0), V_MAX)
        return (row, stamps) if all(c in row for c in COLUMNS[key[0]]) else (None, {})

    def has_excess(self, key):
        return self.policies[0] == DELTA and "excess" not in without and not 0 <= add_up(*self.surviving(key)) <= V_MAX

    def register(self, key):
        """The same, but gone is gone."""
        row, stamps = self.columns(key)
        return (row, stamps) if row is not None and row.get("fk") != GONE else (None, {})

    def keys(self, *tables):
        return [k for k in set(self.window) | set(self.base) if k[0] in tables]

    def refresh(self):
        """What the node shows. Returns the rows that lost a unique value: [(stamp of the losing claim, pk)]."""
        live = {k[1]: r for k in self.keys("p") if (r := self.register(k))[0] is not None}
        claims = collections.defaultdict(list)
        for pk, (row, stamps) in live.items():
            for col in UNIQUE:
                claims[col, row[col]].append((stamps[col], pk))
        lost = [loser for c in claims.values() for loser in sorted(c)[1:]]
        losers = {pk for _, pk in lost}
        shown = {pk: row for pk, row in self.shown["p"].items() if pk in live}
        step = {pk for pk in live if shown.get(pk) != live[pk][0]} - losers
        while True:  # the most that can be shown together beside what stays
            taken = {(col, row[col]) for pk, row in shown.items() if pk not in step for col in UNIQUE}
            blocked = {pk for pk in step if any((col, live[pk][0][col]) in taken for col in UNIQUE)}
            if not blocked:
                break
            step -= blocked
        shown.update((pk, live[pk][0]) for pk in step)
        for pk in sorted(losers):  # a loser is shown while nothing stands in its way
            if pk not in shown and not any(live[pk][0][col] == row[col] for row in shown.values() for col in UNIQUE):
                shown[pk] = live[pk][0]
        self.shown["p"] = shown
        for table in "cr":
            children = {}
            for key in self.keys(table):
                row, _ = self.register(key)
                if row is None:
                    continue
                if row["fk"] in live and row["fk"] not in shown:  # held with its parent: the old version stays
                    if key[1] in self.shown[table]:
                        children[key[1]] = self.shown[table][key[1]]
                    continue
                assert row["fk"] is None or row["fk"] in shown, "a reference to nothing"
                children[key[1]] = row
            self.shown[table] = children
        return lost

    def decide(self):
        while True:
            mine = [pk for stamp, pk in self.refresh() if stamp != SETTLED and stamp[2] == self.me]
            if not mine or "decide" in without:
                return
            self.check_decision(min(mine))
            self.commit([("D", "p", min(mine), {})], decision=True)
            self.decisions += 1

    def check_decision(self, pk):
        """One of its claims is younger than another row's, by what was really written."""
        row, rows = self.register(("p", pk))[0], {k[1]: self.register(k)[0] for k in self.keys("p")}
        older = [other for other, r in rows.items() for col in UNIQUE if r and other != pk and r[col] == row[col]
                 and min(self.claimed[other, col, r[col]]) < max(self.claimed[pk, col, r[col]])]
        assert older, "the older claim loses"

    def settle(self):
        everybody = [min(self.known[n][o] if n != self.me else self.vector[o] for n in range(self.count))
                     for o in range(self.count)]
        if "settle" in without:
            everybody = self.vector
        settled = {key for key, writes in self.window.items() if all(w.seq <= everybody[w.origin] for w in writes)}
        for group in self.groups() if "settle" not in without else [[key] for key in self.window]:
            if "group" in without:
                group = [key for key in group if key in settled]
            elif not all(key in settled and self.shown[key[0]].get(key[1]) == self.register(key)[0] and not self.has_excess(key)
                         for key in group):
                continue
            for key in group:
                # A row that is gone with its parent is kept: a write that doesn't know of that may give it another parent.
                self.base[key] = self.columns(key)[0]
                del self.window[key]

    def groups(self):
        """The keys of the window, those together that have had a unique value in common."""
        of_value, group_of = collections.defaultdict(list), {key: [key] for key in self.window}
        for key, writes in self.window.items():
            for cols in [self.base.get(key) or {}] + [w.cols for w in writes]:
                for col in UNIQUE:
                    if col in cols:
                        of_value[col, cols[col]].append(key)
        for keys in of_value.values():
            for other in keys[1:]:
                a, b = group_of[keys[0]], group_of[other]
                if a is not b:
                    a += b
                    group_of.update(dict.fromkeys(b, a))
        return list({id(group): group for group in group_of.values()}.values())

    # -- writes
    def cascade(self, pk):
        """What InnoDB does to the children that are here."""
        for key in self.keys("c", "r"):
            instead = None if key[0] == "c" else GONE
            for w in self.window.get(key, []):
                if w.cols.get("fk") == pk:
                    w.cols["fk"] = instead
            if (self.base.get(key) or {}).get("fk") == pk:
                self.base[key] = {**self.base[key], "fk": instead}
            row = self.shown[key[0]].get(key[1])
            if row and row["fk"] == pk and instead is None:
                self.shown[key[0]][key[1]] = {**row, "fk": None}
            elif row and row["fk"] == pk:
                del self.shown[key[0]][key[1]]

    def record(self, txn):
        self.log.append(txn)
        for op, table, pk, cols in txn.changes:
            write = Write(txn, op, table, pk, cols)
            self.window[table, pk].append(write)
            if op == "D" and table == "p":
                self.cascade(pk)
            elif write.cols.get("fk") is not None and "reference" not in without:
                if any(d.op == "D" and not write.knew(d) for d in self.window.get(("p", write.cols["fk"]), [])):
                    write.cols["fk"] = None if table == "c" else GONE
        self.refresh()

    def commit(self, changes, decision=False):
        self.clock += self.rng.choice((0, 0, 1, 1, 2))
        if self.rng.random() < .02:
            self.clock = self.rng.randrange(100000)
        self.latest = max(self.latest, self.clock)
        ctx = tuple(self.vector)
        self.vector[self.me] += 1
        stamp = (self.clock if "clock" in without else self.latest, sum(ctx) + 1, self.me)
        for _, table, pk, cols in changes:
            for col in UNIQUE if table == "p" else ():
                if col in cols:
                    self.claimed[pk, col, cols[col]].append(stamp)
        self.script.commit(self.me, self.clock, changes, decision)
        deltas = {(table, pk): cols["v"] - (self.shown[table][pk]["v"] if op == "U" else 0)
                  for op, table, pk, cols in changes if "v" in cols}
        for op, table, pk, cols in changes:  # what is done here shows here, also on a row whose new version is held back
            if op == "U":
                self.shown[table][pk] = {**self.shown[table][pk], **cols}
        self.record(Txn(self.me, self.vector[self.me], self.clock, ctx, stamp, changes, deltas))

    def application(self):
        rng, parents = self.rng, self.shown["p"]
        free = {col: [x for x in range(8) if all(r[col] != x for r in parents.values())] for col in UNIQUE}
        dice, any_parent = rng.random(), rng.choice(sorted(parents)) if parents else None
        fresh, table = self.next_pk, rng.choice("cr")
        children = self.shown[table]
        self.next_pk += self.count
        value = rng.randrange(1000)
        reused = 1000 + rng.randrange(4) if rng.random() < .3 else fresh  # natural keys meet, generated ones don't
        if dice < .3:
            if free["u"] and free["w"] and reused not in parents:
                row = {"u": rng.choice(free["u"]), "w": rng.choice(free["w"]), "v": value}
                self.commit([("I", "p", reused, row)])
        elif any_parent is None:
            return
        elif dice < .45:
            if parents[any_parent]["v"] != value:  # what changes nothing isn't logged
                self.commit([("U", "p", any_parent, {"v": value})])
        elif dice < .6:
            col = rng.choice(UNIQUE)
            if free[col]:
                self.commit([("U", "p", any_parent, {col: rng.choice(free[col])})])
        elif dice < .65:
            other, col = rng.choice(sorted(parents)), rng.choice(UNIQUE)  # swap
            if other != any_parent:
                self.commit([("U", "p", any_parent, {col: parents[other][col]}),
                             ("U", "p", other, {col: parents[any_parent][col]})])
        elif dice < .75:
            self.commit([("D", "p", any_parent, {})])
        elif dice < .88 or not children:
            if reused not in children:
                self.commit([("I", table, reused, {"fk": any_parent, "v": value})])
        else:
            child = rng.choice(sorted(children))
            if dice < .92 and children[child]["fk"] != any_parent:
                self.commit([("U", table, child, {"fk": any_parent})])
            elif dice < .97 and children[child]["v"] != value:
                self.commit([("U", table, child, {"v": value})])
            else:
                self.commit([("D", table, child, {})])
        self.decide()

    # -- links
    def read(self, peer, upto):
        p = peer.me
        while self.cursor[p] < upto:
            txn = peer.log[self.cursor[p]]
            self.cursor[p] += 1
            self.peer_latest[p] = max(self.peer_latest[p], txn.time if txn.origin == p else txn.stamp[0])
            assert txn.origin != p or "clock" in without or txn.stamp[0] == self.peer_latest[p], "another stamp"
            self.known[p][txn.origin] = max(self.known[p][txn.origin], txn.seq)
            for o in range(self.count):
                had = txn.seq if o == txn.origin else txn.ctx[o]
                self.known[txn.origin][o] = max(self.known[txn.origin][o], had)
            is_new = txn.seq > self.vector[txn.origin]
            self.script.read(self.me, p)
            if is_new:
                causal = all(a >= b for a, b in zip(self.vector, txn.ctx))
                assert txn.seq == self.vector[txn.origin] + 1 and causal, "not causal"
                self.vector[txn.origin] = txn.seq
                self.latest = max(self.latest, txn.stamp[0])
                self.record(txn)
                self.decide()
        self.settle()
        self.script.settle(self.me)
        self.script.shows(self)


class NoScript:
    def __getattr__(self, name):
        return lambda *args, **options: None


class Script:
    """N nodes   P policy policy   of v, of the other columns
    C node time decision changes…   a commit        R node peer   one transaction of the peer's log is read
    E node   what everybody has leaves the window        S node rows…  what it shows"""

    def commit(self, node, time, changes, decision):
        words = ["C", node, time, int(decision), len(changes)]
        for op, table, pk, cols in changes:
            words += [op, table, pk, len(cols)]
            for col, value in cols.items():
                words += [col, value]
        print(*words)

    def read(self, node, peer):
        print("R", node, peer)

    def settle(self, node):
        print("E", node)

    def shows(self, node):
        words = ["S", node.me]
        for table in "pcr":
            rows = sorted(node.shown[table].items())
            words += [table, len(rows)]
            for pk, row in rows:
                words += [pk] + ["-" if row[c] is None else row[c] for c in COLUMNS[table]]
        print(*words)


def run(seed, script):
    rng = random.Random(seed)
    count, shape = rng.choice((2, 2, 3, 4)), rng.choice(("mesh", "ring", "star"))
    claimed = collections.defaultdict(list)
    policies = POLICIES[seed // 1000 % len(POLICIES)]
    nodes = [Node(i, count, rng, script, claimed, policies) for i in range(count)]
    if isinstance(script, Script):
        print("N", count)
        print("P", *policies)
    links = [(a, b) for a in range(count) for b in range(count) if a != b and
             (shape == "mesh" or shape == "ring" and (a - b) % count in (1, count - 1) or shape == "star" and 0 in (a, b))]
    up = dict.fromkeys(links, True)
    for _ in range(rng.randrange(50, 400)):
        a, b = rng.choice(links)
        if rng.random() < .05:
            up[a, b] = up[b, a] = not up[a, b]
        elif rng.random() < .6:
            rng.choice(nodes).application()
        elif up[a, b]:
            nodes[a].read(nodes[b], min(len(nodes[b].log), nodes[a].cursor[b] + rng.randrange(1, 30)))
    while any(nodes[a].cursor[b] < len(nodes[b].log) for a, b in links):
        for a, b in links:
            nodes[a].read(nodes[b], len(nodes[b].log))
    for node in nodes:
        assert node.vector == nodes[0].vector, "vectors differ"
        assert node.shown == nodes[0].shown, "tables differ"
        assert not node.refresh() or "decide" in without, "a unique value left undecided"
        for key in node.keys("p", "c", "r"):
            assert node.shown[key[0]].get(key[1]) == node.register(key)[0], "a row held for ever"
    return sum(n.decisions for n in nodes), sum(len(n.base) for n in nodes)


def main(args):
    if args[:1] == ["--script"]:
        run(int(args[1]), Script())
        return 0
    if args[:1] == ["--without"]:
        if args[1] not in RULES:
            sys.exit(f"no rule {args[1]}; rules: {' '.join(RULES)}")
        without.add(args[1])
        args = args[2:]
    seeds, first = int(args[0]) if args else 300, int(args[1]) if len(args) > 1 else 0
    failed, decisions, settled = [], 0, 0
    for seed in range(first, first + seeds):
        try:
            d, s = run(seed, NoScript())
            decisions, settled = decisions + d, settled + s
        except AssertionError as why:
            failed.append((seed, str(why)))
    print(f"{seeds} seeds, {len(failed)} failed {failed[:3]}; {decisions} unique values decided, {settled} rows settled")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
