package ledger

// migrationStudies is for studies, and who is told of them.
const migrationStudies = ``
