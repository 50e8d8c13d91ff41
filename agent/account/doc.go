// Package account is the people of the appliance's page: who they are, what they
// may do, whether they are who they say, and who of them is logged in.
//
// It promises:
//   - Nobody gets in without the password of an account that is in the file now.
//     There is no first or default password.
//   - An answer does not say whether an account exists, by its words or by its time:
//     an unknown name is hashed, counted and locked like one that is known. The counts
//     of names are 4096, which they share by a hash that is this process's secret.
//   - Whoever guesses has 10 tries an account from his address, then 15 minutes to
//     wait, then 30, and so on to 4 hours: about 60 a day. From all addresses together
//     that the account has not come from, these are 50, and then 144 a day; it has come
//     from the last 8 with the right password, since the start, and from this machine.
//     Of IPv6 an address counts so, and its /64 four times as much; there, who has come
//     from one address is no stranger, and at that one no neighbour keeps him out.
//     Tries that are still being looked at count. An administrator, or a new password,
//     ends the wait; only a new password forgets where the account has come from.
//     Sessions that are open stay open: a stranger who guesses keeps nobody from work,
//     and many strangers only who comes from a new address.
//   - A flood takes no memory: one hash of 64 MiB at a time, 16 wait for it, two of
//     them from one address, eight from a /64, and the tables of names, addresses and
//     sessions have an end (P9).
//   - A session's token is 256 random bits that are made here at log-in, so nobody can
//     set one beforehand; only its SHA-256 is kept. It ends after 30 minutes without
//     use, after 12 hours, at log-out, and as soon as the password or the role changes
//     or the account is removed, by whichever process. That it ended by itself is told
//     when Lapse is called next.
//   - The last administrator is neither removed nor made a technician.
//   - A change is on the disk when its method returns without an error. After an error
//     either state may come back after a power cut (P8).
//   - What happens is told to Config.Audit, a change and a log-in before they take
//     effect; without that they do not. No password is ever told, and no name that is
//     not an account's: people type passwords there.
//
// It deliberately does not decide who may call what (Session.Role.May is for that),
// knows nothing of HTTP and cookies, and forgets sessions, lock-outs and addresses when
// the process ends. Log-in by somebody else's form is for the page to refuse
// (Origin, Sec-Fetch-Site): there is no session yet to bind a token to.
//
// # The file
//
// One file of JSON, 0600, replaced whole (durable.WriteFile) by its owner. FILE.lock is
// flocked from reading to writing, so that the daemon and a command may both change it.
// It is read anew at every use of a session and every log-in: it is the only truth.
//
//	{"version": 1, "accounts": [
//	  {"name": "m.rossi", "role": "administrator", "password": "$argon2id$...",
//	   "stamp": "BASE64URL", "freed": 0, "made": "TIME", "changed": "TIME"}]}
//
//	name      1 to 32 of a-z 0-9 . _ -, the first a letter or a digit; at most 64 accounts
//	role      technician or administrator
//	password  $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH, base64 without padding;
//	          the parameters are those of the time it was made, and it is made anew
//	          with today's at the next log-in
//	stamp     128 random bits, others with every new password or role: what was opened
//	          with another stamp is closed
//	freed     how often an administrator has ended a lock-out
//	made, changed  RFC 3339, UTC
//
// Gap: where an account's hash is of other parameters than today's, the time of its
// answer tells that there is such an account, until its person logs in.
//
// A file that is damaged, of another version or writable for others lets nobody in.
package account
