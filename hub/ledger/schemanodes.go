package ledger

// migrationNodes is for several nodes over one database.
const migrationNodes = ``
