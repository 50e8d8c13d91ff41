package ledger

// migrationFolded is for receipts folded into files, and figures by day.
const migrationFolded = ``
