package ledger

// migrationRoutes is for destinations that are for some objects only, and data findings that hold.
const migrationRoutes = ``
