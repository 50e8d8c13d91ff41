package ledger

// migrationTokens is for who may do what by the API.
const migrationTokens = ``
