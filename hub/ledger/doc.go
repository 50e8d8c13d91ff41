// Package ledger keeps the hub's rows: devices and claim codes, objects,
// receipts, forwarding jobs, what waits to be told to an appliance, and the
// audit trail. SQLite is its one form here, in WAL mode, synchronous FULL.
//
// It promises:
//   - What a method that changes rows has returned without error is durable:
//     the commit point is the fsync of the write-ahead log that covers it.
//     Callers share it: the first to come to the door commits for all who
//     queued while the last commit was under way. Never by time.
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
//   - After an error that leaves doubt about the disk nothing is written any
//     more: Failed is closed, the program ends and starts again (P8).
//
// It deliberately holds no object's bytes, sends nothing, knows no clock that
// decides order (rows are ordered by sequence; a clock only says when a job may
// be tried again), and deletes no object and no receipt.
//
//	meta           key -> value: ledger id, generation
//	counters       name -> number, for the life of the ledger
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
//	studies_said   (study, device)                  what each appliance said last of a study
//	studies        study, revision, look_at         of its last event; when to look whether the next is due
//	events         seq, study, revision, body       until every sink has it
//	deliveries     (event, sink): pending -> leased -> done | failed -> pending | superseded
//	headers        (study, digest)                  what headers say above the instance; names persons, for sinks alone
//	described      object                           what its header says
//	audit          seq, at, actor, action, subject  append only
package ledger
