/* Who may answer, and for whom an answer waits: the switch's record, the in-sync set, takeovers, and a record that is
 * lost and rebuilt (specs/0005, sections 2 to 8), small enough that every order of events can be tried.
 *
 * A server's log is a set of writes, always on disk. Connections between a server and the switch keep the order of what
 * is sent; what a server has sent arrives, also after it has given the connection up, unless the proxy crashes. Servers
 * copy the log from each other whenever they like, and lose touch whenever they like. Disks keep what they have; what
 * the journal does is not modelled, nor are times: whoever may ask for a takeover may do so at any moment.
 *
 * Each rule can be left out (BREAK_...), and then the search must find what goes wrong: see check.py beside this file.
 */

#ifndef SERVERS
#define SERVERS 3
#endif
/* How much may happen: versions of the record, writes, connections that a server gives up while frames are on their
 * way, crashes of servers, crashes of the proxy with and without the loss of its record, disks that are lost while their
 * server is down, and switchovers that an operator orders. */
#ifndef VERSIONS
#define VERSIONS 6
#endif
#ifndef WRITES
#define WRITES 1
#endif
#ifndef DROPS
#define DROPS 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef WIPES
#define WIPES 0
#endif
#ifndef ORDERS
#define ORDERS 0
#endif

#define NOBODY SERVERS
#define only(i) (1 << (i))
#define has(set, i) (((set) >> (i)) & 1)

/* What the switch decides; version 0: there is none. The active server is the `head`: `active` is a word of Promela. */
typedef Record {
	byte version;
	byte epoch;
	byte head;
	byte members
};

mtype = { none, takeOver, change, changeBefore };
mtype = { registering, holding, view, granted, appointed, answered };

typedef Server {
	bool runs;
	bool isBlank;		/* its directory is new, and no copy has come into it */
	Record known;
	Record disk;
	byte newcomers;		/* asked for, and not yet told what became of it */
	byte office;		/* the epoch in which it is active, or 0 */
	mtype asked;		/* changeBefore: on a connection that is gone */
	byte wanted;
	byte stale;		/* answers on their way to questions that were given up */
	byte log;
	byte committed;		/* what is known in its epoch to be held by all that count */
	byte begun;		/* its log when its epoch began */
	byte follows;		/* whose log comes in */
	bool isOpen;		/* its end of the connection to the switch */
	bool isWelcome		/* a view has come on it */
};

/* The switch's end of a connection. */
typedef Seat {
	bool isOpen;
	bool isRegistered;
	bool isEligible;	/* it has said here that it has a copy */
	byte office;
	Record brought
};

Record record;			/* the switch's */
byte route = NOBODY;		/* to whom requests go, and whose answers count */
Server server[SERVERS];
Seat seat[SERVERS];
byte acknowledged, writes, drops, crashes, losses, restarts, wipes, orders;

/* kind; the office of a registration; a record, or what of it a question is about */
chan toSwitch[SERVERS] = [2] of { mtype, byte, byte, byte, byte, byte };
chan toServer[SERVERS] = [2] of { mtype, byte, byte, byte, byte };

/* Of one step, and nothing after it: see forget. */
byte k, l, count, fewest, all, present, office, tells;
mtype kind;
Record got;

#define same(a, b) \
	(a.version == b.version && a.epoch == b.epoch && a.head == b.head && a.members == b.members)

inline copy(to, from) {
	to.version = from.version; to.epoch = from.epoch; to.head = from.head; to.members = from.members
}

inline clearRecord(a) { a.version = 0; a.epoch = 0; a.head = 0; a.members = 0 }

inline clearToSwitch(i) {
	do
	:: len(toSwitch[i]) > 0 -> toSwitch[i]?_,_,_,_,_,_
	:: len(toSwitch[i]) == 0 -> break
	od
}

inline clearToServer(i) {
	do
	:: len(toServer[i]) > 0 -> toServer[i]?_,_,_,_,_
	:: len(toServer[i]) == 0 -> break
	od
}

/* ---- What the switch sends */

inline closeSeat(i) {
	seat[i].isOpen = false; seat[i].isRegistered = false; seat[i].isEligible = false; seat[i].office = 0;
	clearRecord(seat[i].brought);
	clearToSwitch(i);
	if :: route == i -> route = NOBODY :: else fi
}

/* Whoever does not read is dropped. */
inline tell(i, what) {
	if
	:: !server[i].isOpen -> skip
	/* A view that waits already need not wait twice. */
	:: server[i].isOpen && what == view &&
		toServer[i]??[view,eval(record.version),eval(record.epoch),eval(record.head),eval(record.members)] -> skip
	:: server[i].isOpen && !(what == view &&
		toServer[i]??[view,eval(record.version),eval(record.epoch),eval(record.head),eval(record.members)]) &&
		len(toServer[i]) == 2 -> closeSeat(i)
	:: server[i].isOpen && !(what == view &&
		toServer[i]??[view,eval(record.version),eval(record.epoch),eval(record.head),eval(record.members)]) &&
		len(toServer[i]) < 2 -> toServer[i]!what,record.version,record.epoch,record.head,record.members
	fi
}

inline broadcast() {
	k = 0;
	do
	:: k < SERVERS ->
		if :: seat[k].isOpen && seat[k].isRegistered -> tell(k, view) :: else fi;
		k++
	:: else -> break
	od;
	k = 0
}

/* ---- What the switch does */

/* The newest record counts once all are here who may be in a set of that version. */
inline rebuild() {
	got.version = 0; all = 0; present = 0;
	k = 0;
	do
	:: k < SERVERS ->
		if
		:: seat[k].isRegistered && seat[k].brought.version > 0 ->
			present = present | only(k);
			if :: seat[k].brought.version > got.version -> got.version = seat[k].brought.version :: else fi
		:: else
		fi;
		k++
	:: else -> break
	od;
	k = 0; fewest = SERVERS + 1;
	do
	:: k < SERVERS ->
		if
		:: has(present, k) && seat[k].brought.version == got.version ->
			all = all | seat[k].brought.members;
			count = 0; l = 0;
			do
			:: l < SERVERS -> count = count + has(seat[k].brought.members, l); l++
			:: else -> break
			od;
			if
			:: count < fewest -> fewest = count; copy(got, seat[k].brought)
			:: else
			fi
		:: else
		fi;
		k++
	:: else -> break
	od;
	if
#ifdef BREAK_ONE_IS_ENOUGH
	:: got.version > 0 -> copy(record, got)
#else
	:: got.version > 0 && (all & ~present) == 0 -> copy(record, got)
#endif
	:: else
	fi
}

inline findRoute() {
	k = 0;
	do
	:: k < SERVERS && route == NOBODY && record.version > 0 ->
		if
		:: seat[k].isRegistered && k == record.head && seat[k].office == record.epoch -> route = k
		:: else
		fi;
		k++
	:: else -> break
	od;
	k = 0
}

inline register(i) {
	printf("the switch registers %d, office %d, version %d, epoch %d, members %d\n",
		i, office, got.version, got.epoch, got.members);
	seat[i].isRegistered = true;
	seat[i].office = office;
	copy(seat[i].brought, got);
	seat[i].isEligible = got.version > 0;
	if :: got.version > record.version -> clearRecord(record) :: else fi;
	if :: record.version == 0 -> rebuild() :: else fi;
	/* Its copy is lost. */
	if
	:: record.version > 0 && !seat[i].isEligible && has(record.members, i) && record.head != i ->
		record.members = record.members & ~only(i); record.version++
	:: else
	fi;
	findRoute();
	broadcast()
}

inline install(i, what) {
	record.epoch++; record.version++; record.head = i;
	printf("the switch makes %d active: version %d, epoch %d, members %d\n",
		i, record.version, record.epoch, record.members);
	route = i;
	seat[i].isEligible = true;
	tell(i, what);
	broadcast()
}

inline decideTakeOver(i) {
	if
#ifdef BREAK_ANYBODY_IS_PROMOTED
	:: record.version > 0 && got.epoch == record.epoch ->
#else
	:: record.version > 0 && got.epoch == record.epoch && has(record.members, i) && seat[i].isEligible ->
#endif
		if
		:: record.head != i -> record.members = (record.members & ~only(record.head)) | only(i)
		:: else
		fi;
		if :: route != NOBODY && route != i -> closeSeat(route) :: else fi;
		install(i, granted)
	:: else -> tell(i, answered)
	fi
}

inline decideChange(i) {
	/* Newcomers are registered themselves. */
	all = got.members & ~record.members;
	k = 0;
	do
	:: k < SERVERS ->
		if :: seat[k].isRegistered && seat[k].isEligible -> all = all & ~only(k) :: else fi;
		k++
	:: else -> break
	od;
	if
	:: record.version > 0 && route == i && got.epoch == record.epoch && got.version == record.version && all == 0 ->
		record.members = got.members; record.version++;
		printf("the switch has %d as members, version %d\n", record.members, record.version);
		tell(i, answered);
		broadcast()
	:: else -> tell(i, answered)
	fi
}

inline crashProxy() {
	printf("the proxy crashes; its record is of version %d\n", record.version);
	l = 0;
	do
	:: l < SERVERS -> closeSeat(l); l++
	:: else -> break
	od;
	l = 0
}

/* ---- What a server does */

/* The question is given up, or answered. */
inline settle(i) { server[i].asked = none; server[i].wanted = 0 }

inline giveUp(i) {
	if
	:: server[i].asked == takeOver || server[i].asked == change -> server[i].stale++
	:: else
	fi;
	settle(i)
}

inline leaveOffice(i) {
	server[i].office = 0; server[i].committed = 0; server[i].begun = 0;
	k = 0;
	do
	:: k < SERVERS ->
		if :: server[k].follows == i -> server[k].follows = NOBODY :: else fi;
		k++
	:: else -> break
	od;
	k = 0
}

inline becomeActive(i) {
	printf("%d is active in epoch %d, members %d\n", i, got.epoch, got.members);
	copy(server[i].known, got); copy(server[i].disk, got);
	server[i].newcomers = 0;
	server[i].office = got.epoch; server[i].committed = 0; server[i].begun = server[i].log;
	server[i].follows = NOBODY
}

inline adopt(i) {
	if
	:: got.version > 0 && got.version >= server[i].known.version ->
		if
		:: !same(got, server[i].known) ->
			copy(server[i].known, got);
			if :: !server[i].isBlank -> copy(server[i].disk, got) :: else fi;
			server[i].newcomers = 0
		:: else
		fi;
		if
		:: server[i].office != 0 && (got.head != i || got.epoch != server[i].office) ->
			leaveOffice(i); giveUp(i)
		:: server[i].office == 0 && server[i].follows != NOBODY &&
			(got.head != server[i].follows || got.epoch != server[server[i].follows].office) ->
			server[i].follows = NOBODY
		:: else
		fi
	:: else
	fi
}

inline endDoubt(i) {
	if
	:: server[i].asked == none && server[i].newcomers != 0 ->
		server[i].newcomers = 0;
#ifndef BREAK_NEWCOMERS_ARE_NOT_STRUCK_OUT
		copy(server[i].disk, server[i].known)
#endif
	:: else
	fi
}

inline receiveView(i) {
	printf("%d sees version %d, epoch %d, members %d\n", i, got.version, got.epoch, got.members);
	tells = got.version > 0 && got.version >= server[i].known.version;
	if
#ifdef BREAK_NO_RECORD_TELLS_TOO
	:: server[i].asked == changeBefore -> settle(i)
#else
	:: tells && server[i].asked == changeBefore -> settle(i)
#endif
	:: else
	fi;
	adopt(i);
	if :: tells -> endDoubt(i) :: else fi;
	server[i].isWelcome = true
}

inline receiveAnswer(i) {
	printf("%d is answered: version %d, epoch %d, members %d\n", i, got.version, got.epoch, got.members);
	if
	:: server[i].stale > 0 -> server[i].stale--
	:: server[i].stale == 0 && (server[i].asked == takeOver || server[i].asked == change) ->
		settle(i);
		adopt(i);
		endDoubt(i)
	:: else
	fi
}

inline closeConnection(i) {
	printf("%d has no connection any more\n", i);
	server[i].isOpen = false; server[i].isWelcome = false;
	server[i].stale = 0;
	clearToServer(i);
	if
	:: server[i].asked == takeOver -> settle(i)
	:: server[i].asked == change -> server[i].asked = changeBefore
	:: else
	fi
}

inline connect(i) {
	server[i].isOpen = true; server[i].isWelcome = false;
	seat[i].isOpen = true;
	all = server[i].known.members;
#ifndef BREAK_QUESTIONS_ARE_FORGOTTEN
	all = all | server[i].newcomers;
#endif
	if
	:: server[i].isBlank -> toSwitch[i]!registering,0,0,0,0,0
	:: else ->
		toSwitch[i]!registering,server[i].office,server[i].known.version,server[i].known.epoch,server[i].known.head,all
	fi
}

inline ask(i, what) {
	printf("%d asks: %e, version %d, members %d\n", i, what, server[i].known.version, server[i].wanted);
	server[i].asked = what;
	/* Into a connection that the switch has closed it goes nowhere. */
	if
	:: seat[i].isOpen ->
		toSwitch[i]!what,0,server[i].known.version,server[i].known.epoch,0,server[i].wanted
	:: else
	fi
}

inline askForChange(i, set) {
	server[i].wanted = set;
	server[i].newcomers = set & ~server[i].known.members;
#ifndef BREAK_NEWCOMERS_ARE_NOT_NOTED
	server[i].disk.members = server[i].disk.members | server[i].newcomers;
#endif
	ask(i, change)
}

#define awaited(i) (server[i].known.members | \
	((server[i].asked == change || server[i].asked == changeBefore) -> server[i].wanted : 0))

/* Whether all that server i has to wait for hold write w. */
inline tryCommit(i, w) {
#ifdef BREAK_NEWCOMERS_ARE_NOT_AWAITED
	all = server[i].known.members;
#else
	all = awaited(i);
#endif
	k = 0;
	do
	:: k < SERVERS ->
		if
		:: has(server[k].log, w) && (k == i || server[k].follows == i && !server[k].isBlank) -> all = all & ~only(k)
		:: else
		fi;
		k++
	:: else -> break
	od;
	if :: all == 0 -> server[i].committed = server[i].committed | only(w) :: else fi
}

inline crash(i) {
	printf("%d crashes\n", i);
	closeConnection(i); leaveOffice(i);
	server[i].runs = false;
	settle(i); server[i].newcomers = 0;
	server[i].follows = NOBODY;
	clearRecord(server[i].known)
}

/* ---- What must always hold */

inline check() {
	k = 0;
	do
	:: k < SERVERS ->
		/* Whoever may be promoted holds all that was acknowledged. */
		assert(record.version == 0 || !has(record.members, k) || server[k].isBlank ||
			(acknowledged & ~server[k].log) == 0);
		assert(!server[k].isBlank || server[k].office == 0);
		/* Of an epoch there is one active server. */
		l = k + 1;
		do
		:: l < SERVERS -> assert(server[k].office == 0 || server[k].office != server[l].office); l++
		:: else -> break
		od;
		k++
	:: else -> break
	od;
	/* Requests go to the recorded active server. */
	assert(route == NOBODY || (record.version > 0 && record.head == route))
}

/* What is left over from a step must not tell states apart. */
inline forget() {
	k = 0; l = 0; count = 0; all = 0; present = 0; fewest = 0; office = 0; tells = 0; kind = 0;
	clearRecord(got)
}

/* The first write of `of` that `log` lacks. */
#define next(log, of) ((of & ~(log)) & (~(of & ~(log)) + 1))

proctype world() {
	byte i, j;
	do
	:: atomic {
	/* one of the servers */
	if
	:: i = 0
	:: i = 1
#if SERVERS > 2
	:: i = 2
#endif
#if SERVERS > 3
	:: i = 3
#endif
	fi;
	if
	/* -- the switch */
	:: seat[i].isOpen && len(toSwitch[i]) > 0 -> d_step {
		toSwitch[i]?kind,office,got.version,got.epoch,got.head,got.members;
		if
		:: kind == registering -> register(i)
		:: kind == takeOver -> decideTakeOver(i)
		:: kind == change -> decideChange(i)
		:: kind == holding -> seat[i].isEligible = true
		fi }
	:: seat[i].isOpen && !server[i].isOpen && len(toSwitch[i]) == 0 -> d_step { closeSeat(i) }
	:: i == 0 && losses < LOSSES -> d_step { losses++; clearRecord(record); crashProxy() }
	:: i == 0 && restarts < RESTARTS -> d_step { restarts++; crashProxy() }
	:: orders < ORDERS && record.version > 0 && record.version < VERSIONS &&
		seat[i].isRegistered && seat[i].isEligible && has(record.members, i) &&
		(i != record.head || route == NOBODY) -> d_step {
		orders++;
		if
		:: route == NOBODY && i != record.head -> record.members = record.members & ~only(record.head)
		:: else
		fi;
		install(i, appointed) }
	/* -- a server and the switch */
	:: server[i].runs && !server[i].isOpen && !seat[i].isOpen -> d_step { connect(i) }
	:: server[i].isOpen && len(toServer[i]) > 0 -> d_step {
		toServer[i]?kind,got.version,got.epoch,got.head,got.members;
		if
		:: kind == view -> receiveView(i)
		:: kind == granted ->
			if
			:: server[i].stale > 0 -> server[i].stale--
			:: server[i].stale == 0 && server[i].asked == takeOver && server[i].office == 0 ->
				settle(i); becomeActive(i)
			:: else
			fi
		:: kind == appointed ->
			if
			:: got.head == i && server[i].office == 0 && got.epoch > server[i].known.epoch && !server[i].isBlank ->
				giveUp(i); becomeActive(i)
			:: else -> adopt(i)
			fi
		:: kind == answered -> receiveAnswer(i)
		fi }
	:: server[i].isOpen && !seat[i].isOpen -> d_step { closeConnection(i) }
	:: server[i].isOpen && seat[i].isOpen && drops < DROPS -> d_step { drops++; closeConnection(i) }
	:: server[i].isWelcome && server[i].asked == none && server[i].office == 0 &&
		has(server[i].known.members, i) && server[i].follows == NOBODY && len(toSwitch[i]) < 2 &&
		server[i].known.version < VERSIONS -> d_step { ask(i, takeOver) }
	/* -- servers among themselves */
	:: server[i].office != 0 && server[i].isWelcome && server[i].asked == none && len(toSwitch[i]) < 2 &&
		server[i].known.version < VERSIONS ->
		if
		:: j = 0
		:: j = 1
#if SERVERS > 2
		:: j = 2
#endif
#if SERVERS > 3
		:: j = 3
#endif
		fi;
		d_step {
		if
		:: j != i && has(server[i].known.members, j) && server[j].follows != i ->
			askForChange(i, server[i].known.members & ~only(j))
		:: j != i && !has(server[i].known.members, j) && server[j].follows == i && !server[j].isBlank &&
#ifdef BREAK_NEWCOMERS_LACK_EARLIER_EPOCHS
			(server[i].committed & ~server[j].log) == 0 ->
#else
			((server[i].committed | server[i].begun) & ~server[j].log) == 0 ->
#endif
			askForChange(i, server[i].known.members | only(j))
		:: else
		fi;
		j = 0 }
	:: server[i].runs && server[i].office == 0 && server[i].follows == NOBODY &&
		server[i].known.head != i && server[i].known.version > 0 &&
		server[server[i].known.head].office == server[i].known.epoch -> d_step {
		/* What the active server does not have is given up. */
		server[i].log = server[i].log & server[server[i].known.head].log;
		server[i].follows = server[i].known.head;
		printf("%d follows %d\n", i, server[i].follows) }
	/* A copy comes in as a whole. */
	:: server[i].follows != NOBODY && server[i].isBlank && (!seat[i].isOpen || len(toSwitch[i]) < 2) -> d_step {
		server[i].log = server[server[i].follows].log;
		server[i].isBlank = false;
		copy(server[i].disk, server[i].known);
		printf("%d has a copy: %d\n", i, server[i].log);
		if :: server[i].isOpen && seat[i].isOpen -> toSwitch[i]!holding,0,0,0,0,0 :: else fi }
	:: server[i].follows != NOBODY && !server[i].isBlank &&
		(server[server[i].follows].log & ~server[i].log) != 0 -> d_step {
		server[i].log = server[i].log | next(server[i].log, server[server[i].follows].log);
		printf("%d has the log %d\n", i, server[i].log) }
	:: server[i].follows != NOBODY -> d_step { server[i].follows = NOBODY; printf("%d follows nobody\n", i) }
	/* -- writes */
	:: server[i].office != 0 && writes < WRITES -> d_step {
		server[i].log = server[i].log | only(writes); writes++;
		printf("%d takes a write\n", i) }
	:: server[i].office != 0 && (server[i].log & ~server[i].committed) != 0 -> d_step {
		l = 0;
		do
		:: l < WRITES ->
			if
			:: has(server[i].log, l) && !has(server[i].committed, l) -> tryCommit(i, l)
			:: else
			fi;
			l++
		:: else -> break
		od;
		l = 0 }
	:: server[i].office != 0 && server[i].isWelcome && route == i && seat[i].isOpen &&
		record.epoch == server[i].office && (server[i].committed & ~acknowledged) != 0 -> d_step {
		acknowledged = acknowledged | server[i].committed;
		printf("%d has acknowledged %d\n", i, acknowledged) }
	/* -- crashes */
	:: server[i].runs && crashes < CRASHES -> d_step { crashes++; crash(i) }
	:: !server[i].runs && wipes < WIPES -> d_step {
		wipes++;
		printf("%d loses its disk\n", i);
		server[i].isBlank = true; server[i].log = 0; clearRecord(server[i].disk) }
	:: !server[i].runs -> d_step {
		server[i].runs = true; copy(server[i].known, server[i].disk) }
	fi;
	d_step { check(); forget(); i = 0 } }
	od
}

init {
	byte i;
	atomic {
		record.version = 1; record.epoch = 1; record.head = 0; record.members = only(0);
		i = 0;
		do
		:: i < SERVERS ->
			server[i].runs = true; server[i].asked = none; server[i].follows = NOBODY;
			copy(server[i].known, record); copy(server[i].disk, record);
			i++
		:: else -> break
		od;
		server[0].office = 1;
		run world()
	}
}
