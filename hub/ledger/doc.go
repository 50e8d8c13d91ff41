// Package ledger keeps the hub's rows: devices and claim codes, objects,
// receipts, forwarding jobs, what waits to be told to an appliance, and the
// audit trail. They lie in SQLite (one machine: WAL mode, synchronous FULL) or in
// PostgreSQL (several nodes), in one text of SQL: see "Two engines" below.
//
// It promises:
//   - What a method that changes rows has returned without error is durable:
//     the commit point is the fsync of the write-ahead log that covers it, which
//     PostgreSQL answers a COMMIT after. Callers share it: the first to come to the
//     door commits for all who queued while the last commit was under way. Never by
//     time. What many receive or deliver at once takes a few statements for all.
//   - Receipt, object and forwarding jobs appear together or not at all
//     (SPOOL-19). Receiving again changes nothing.
//   - The same object from two appliances is one object with one job for each
//     destination, and a receipt and a confirmation for each appliance (P4).
//   - Different contents under one SOP Instance UID are kept both; the jobs of
//     the later one are held until released (P5), unless Config says deliver.
//   - An object gets jobs for the destinations that it is for (Config.Routes), by the
//     facility of its appliance, modality and AE title. Archived means: every required
//     destination that it is for is done, and there is one. Confirmations for all
//     appliances with a receipt come in the same transaction, and stay in the
//     outbox until each has acknowledged. What no required destination is for is
//     counted (Stats.Unrouted), never archived. A second sender may lead an object
//     elsewhere; then it is not archived again until that destination has it too.
//   - What an appliance's finding holds waits (Findings) until an administrator or
//     that appliance lets it go; its findings hold and release nothing that it did not
//     send, and release nothing that P5 or another appliance holds.
//   - What an archive says of a UID alone, also in the answer of STOW-RS, confirms no
//     object whose UID has other contents (Unconfirmed).
//   - Where a destination confirms by storage commitment, what it answered with
//     Success is stored, not done. A transaction is durable before it is asked
//     for; only its report about an instance that was asked for in it makes a job
//     done; a report is durable before it is answered, and settles nothing twice.
//   - A commitment speaks of a UID. It confirms no object whose UID has other
//     contents (P5), unless Config says deliver: that one stays unconfirmed until
//     an administrator, having compared, says so (Confirm).
//   - The row says that an object's file goes before it goes (Expired), and stays:
//     who offers the object later has its receipt as before.
//   - What the hub lost is asked for again (Lost): no appliance is told any more
//     that it is here, and the jobs wait until it has come, in one transaction.
//   - A study is told of when its appliances say that it is complete, all that they count is
//     here, and all of it is archived or waits for a person; one node makes the event, and
//     it lasts until every sink has it (SayStudy, MakeEvents).
//   - After an error that leaves doubt about its own disk nothing is written any
//     more: Failed is closed, the program ends and starts again (P8). A PostgreSQL
//     that is away, or too busy, ends nothing: changes fail after a bounded time,
//     Ready says so, and go on when it is back.
//   - What was committed is known to be, also when the answer to COMMIT was lost:
//     each transaction leaves its number in a row of its process, and whoever finds
//     it there was heard. When the database does not come back in time the caller
//     has an error, and may ask again: receiving, delivering, acknowledging twice
//     changes nothing.
//   - Over PostgreSQL with a synchronous standby durable means there, too. After a failover
//     that lost rows all the same the generation rises before anything else is written, so
//     that appliances offer again what is not archived; what is said of a job counts for
//     the object that it was leased for, whatever has its number now.
//   - A lease is lent again when it has run out, and when its node was not seen for
//     half a minute. No two hold one,
//     and no two processes one name (Name); an answer under an old lease counts only where
//     it is a fact (Done, Stored). Jobs that were leased for nobody, because the database
//     went away meanwhile, are free again with the next lease.
//   - Of a destination's queue neither what was not tried yet nor what is tried again
//     keeps the other away (P6), however long its row is; a lease takes no longer for
//     what is not due.
//   - A destination that is not required, or not configured any more, stops nobody (P6):
//     the first keeps the copies of archived objects for a bounded time and only while there
//     is room (ExpiredForRoom), the other keeps none. What ends so is in the audit trail.
//
// It deliberately holds no object's bytes, sends nothing, knows no clock that
// decides order (rows are ordered by sequence; a clock only says when a job may
// be tried again), and deletes no row of an object; that of a receipt goes when a durable,
// signed file has it (Folded), and the row of the object says who sent it first.
//
// # Two engines
//
// One writes at a time, over all processes and nodes: with SQLite who has the lock of
// the file, with PostgreSQL who has an advisory lock from the first statement of a
// transaction to its end (READ COMMITTED). So a transaction sees all that was committed
// before it, and nothing changes under it; every rule above is argued once. Readers
// wait for nobody. What several nodes pay is that they commit one after the other, and
// what makes that fast is that each commits for all that wait at it.
//
// PostgreSQL 14 or newer, UTF8, is refused with fsync, synchronous_commit or
// full_page_writes off, as the ledger's own session has them, at the beginning and in
// every transaction. Of several hosts in the URL the one that can be written is used.
// Connections must be the ledger's own for as long as they last (no pooling by
// transaction: prepared statements and LISTEN would be lost). A node that hangs or dies
// within a transaction loses its session, and with it the lock, after ten seconds; one
// that no byte reaches after twelve. The URL may set these times
// (idle_in_transaction_session_timeout and the others of postgresql.conf). All times
// are of the database's clock, so that nodes need not agree.
//
// A commit tells the other nodes what has grown (NOTIFY), and Listen wakes who waits
// there. It may be missed: whoever waits looks again after some seconds too.
//
// What the destinations are, their routes, required and confirm, what becomes of conflicts,
// and who is told of studies, must be the same on all nodes: the one that was started last
// says so (meta, destinations), and leaves what changed in the trail. Rows are brought to
// it page by page (walk.go), by any node, while everybody writes; what was not reached yet
// nobody archives, but it may still go to where it was for. Another one
// that was started with others reads that with the lock, at the begin of each
// transaction, and writes nothing any more (ErrDestinations): what it received would have
// no job for a new archive and be archived without it. It gives its leases back (Leave)
// and waits to be restarted, or for the others to be restarted as it was.
//
// The schema is numbered and goes forward only, all steps in one transaction. A program
// refuses to open a newer one than it knows. In a rolling upgrade the first new node
// brings it up; an older node that runs ends before its next transaction, with words
// that say so, and appliances go to the new ones: what they had sent without a receipt
// they send again.
//
//	meta           key -> value: ledger id, generation, destinations as they were configured last
//	counters       name -> number, for the life of the ledger; skipped:DESTINATION is what it does not get
//	devices        id, facility, state approved|revoked, hashes of its key and the one before
//	codes          hash of the secret, facility, until when, used by whom
//	objects        seq, id, names, length, study, priority, archived_at
//	receipts       (device, id)                     what one appliance may rely on, unless lost
//	jobs           (object, destination): pending -> leased -> [stored ->] done
//	                                       held ^     |  \        |  \-> unconfirmed -> done
//	                                          pending <- later   |-> permanent
//	                                          pending <----------/  not there after all
//	findings       (device, id)                     what a device has noticed; holds until released
//	transactions   uid, destination, asked_at, reported_at   of storage commitment
//	asked          (job, uid)                                not reported yet
//	confirmations  seq, device, id                  outbox, until acknowledged
//	troubles       seq, device, id, destination     outbox, until acknowledged
//	studies_said   (study, device)                  what each appliance said last of a study, and what it found in its data
//	studies        study, revision, look_at         of its last event; when to look whether the next is due
//	events         seq, study, revision, body       until every sink has it
//	deliveries     (event, sink): pending -> leased -> done | failed -> pending | superseded
//	headers        (study, digest)                  what headers say above the instance; names persons, for sinks alone
//	described      object                           what its header says
//	folded         (study, part)                    the file that receipts of a study are in
//	kpi            (day, facility, destination)     figures; no study, no person
//	kpi_state      where counting stands
//	audit          seq, at, actor, origin, action, subject, hash of it and of the row before: append only, one chain
//	tokens         name, role, hash, until when, last used, revoked
//	seen           device -> when it was connected last, and to which node; flushed each minute
//	nodes          id, address, version, started_at, seen_at
//	writers        id of a process, n: its last transaction (PostgreSQL)
//	version        n: of the schema (PostgreSQL; SQLite has PRAGMA user_version)
package ledger
