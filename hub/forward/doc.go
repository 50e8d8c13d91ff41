// Package forward hands objects from the hub to the archives: it leases jobs
// from the ledger, delivers, and records what the archive said.
//
// It promises:
//   - A job is done only when the destination has the object: for a dir, file and
//     names are durable; for a stow, the answer lists the instance as stored, and its
//     UID has no other contents (P5); for a cstore, the archive has answered Success or a
//     warning (confirm: success), or has reported by storage commitment that it
//     commits itself to the object (confirm: commitment). Where an archive does
//     not offer commitment that is said, and nothing counts: there is no way back
//     to success but the configuration.
//   - A dir that is missing, or is another one than was delivered to before, is
//     away: it is waited for and never made again, because it may be the mount
//     point of a disk. The folder .incoming marks it.
//   - Delivering twice is harmless. A dir recognises its own file; for a cstore and a
//     stow it is the same instance under the same UIDs (P4).
//   - One study, object or destination never blocks another (P6): an object that
//     fails waits alone, a destination that is down waits alone.
//   - The data set goes out as it came in; its digest is compared in passing and
//     an object whose bytes are damaged here is never delivered (P3, P14).
//   - A copy of the hub that is missing or has other bytes is given up and asked
//     for again (ledger.Lost). Only its absence and its bytes say that: an error
//     of the disk or a lack of descriptors is waited out.
//   - Each destination has so many workers, each worker so many leased jobs: behind
//     those alone an urgent object waits.
//   - What became of a delivery is written down as soon as the ledger writes again, when
//     it could not (its disk was full, PostgreSQL away): it is kept in memory, bounded,
//     and costs no object the hour that its job is lent for.
//
// What an answer means:
//
//	0000                        done
//	Bxxx                        done, the archive's words are kept
//	0111 duplicate              done if all of it was sent once and no answer came,
//	                            and no other contents were received under its UID;
//	                            else permanent: somebody else's is there
//	A7xx, 02xx, others          transient: this object waits, longer each time
//	A9xx, Cxxx, 0117, 0122      permanent: quarantined with the archive's words,
//	                            if the archive is believed, see below
//	context refused             the same
//	association lost            transient for the object in flight, none for others
//	rejected, not reachable     the destination waits; no object is judged. Also a
//	                            permanent reject (1/1/3, 1/1/7): titles are
//	                            configured wrongly somewhere, the objects are fine
//
// A permanent answer is believed of an archive that takes others (STOW-RS too): it has
// taken an object in the life of this process, and has not refused more than 20 since
// the last one. Else its access list, licence or table of classes is wrong, and it would
// have the whole stream quarantined within minutes: the object waits (transient, with
// the archive's words), and Status says that it refuses everything. Of a kind (class and
// syntax) of which it has refused three in doubt one is sent every 15 s, the others are
// put aside for 5 to 30 min, so that it is not fed and other kinds pass. The first object
// that it takes ends the doubt, also for what it refused in the same batch. 0111 is no
// refusal to take any. What was quarantined before the doubt, at most 20 objects, and
// what was quarantined rightly and is taken now, `hubd objects retry` frees.
//
// That an answer is missing is kept in the job. A crash of the hub between the
// last byte and that row leaves a job of which nothing is known: 0111 is then
// permanent, an administrator decides. Never the other way round: what counts as
// archived is forgotten elsewhere.
//
// With confirm: commitment "done" above means stored, and then (PS3.4 §J.3):
//
//	asked for       when the queue pauses, at 500 objects, or after 30 s, on an
//	                association of its own, so that no store waits for it (P6);
//	                the transaction is durable before the request goes out
//	reported        on that association within some seconds, or on one that the
//	                archive opens to hubd's dicom.listen; answered Success when it
//	                is durable, 0110 when it could not be, 0115 when nobody asked
//	committed       done; not where the UID has other contents (P5, see the ledger)
//	0112, 0110      it is not there after all: sent again, five times, then as other reasons
//	0213, 0131      asked for again
//	other reasons   permanent, if the archive is believed: it has committed itself to
//	                something, and failed to for no more than 20 since, or within the
//	                report; else asked for again
//	no report       asked for again in a new transaction after 10 min, up to 6 h,
//	                for ever; a late report still counts
//	request refused asked for again, each time for half as many, so that one
//	                reference that an archive cannot stand waits alone
//
// A report counts only for the instances of its transaction, of their class, from
// the archive that was asked.
//
// What an answer of STOW-RS means (PS3.18 §10.5.3). Of 200, 202 and 409 the body is
// read, as JSON or XML, whatever was asked for; each instance by itself:
//
//	listed as failed        by its reason, as above: 0111 duplicate; A7xx, 0110 and
//	                        others transient; A9xx, Cxxx (C122), 0117, 0122 permanent
//	listed as stored        done, with a WarningReason the words are kept; where its
//	                        UID has other contents: unconfirmed, a person compares (P5)
//	neither, or in a 409    transient, it is sent again; nothing counts that is not
//	                        listed, and a search would find a UID, not contents
//	none of them listed     as a request that failed
//
// Of a request that failed as a whole nobody knows for whose sake: the next one has
// half as many, until one object alone gets the answer (P6).
//
//	no answer, cut, 5xx, 408, 425   transient
//	413                     less bytes; alone permanent, if the archive is believed
//	400, 415 and other 4xx  alone permanent if the archive is believed, else transient:
//	                        a gateway may say it
//	401, 403, 407           the destination waits, no object is judged; after 401 with
//	                        a token once more with a new one
//	3xx, 404, 405, 406, 410, 501    the same: the url is wrong
//	429, 503, 507           the same, for as long as Retry-After says, at most 1 h
//
// Three transient answers in a row make the destination wait. A damaged copy completes
// no request: a part ends with the boundary after it, which goes out when the digest
// was found right.
//
// It deliberately does not convert transfer syntaxes, and does not decide what is
// archived (the ledger does).
//
//	dir      PATH/STUDY/ID.dcm, by way of PATH/.incoming/: up to 16 objects or 64 MiB
//	         together; each file durable, then all names, then each study's directory
//	         flushed once, then the rows
//	cstore   A-ASSOCIATE, C-STORE ..., kept open while there is work
//	stow     POST URL/studies, HTTP/1.1, of up to 16 objects or 64 MiB (configurable) of one priority
package forward
