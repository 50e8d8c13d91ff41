package auditmsg

// code is a coded value as the schema has it. All of them are from PS3.16, CID 400 to
// 403 and annex D, but for the number of a patient, which is of RFC 3881.
type code struct {
	Code   string `xml:"csd-code,attr"`
	System string `xml:"codeSystemName,attr"`
	Text   string `xml:"originalText,attr"`
}

func dcm(value, meaning string) code { return code{value, "DCM", meaning} }

var (
	applicationActivity  = dcm("110100", "Application Activity")
	auditLogUsed         = dcm("110101", "Audit Log Used")
	beginTransferring    = dcm("110102", "Begin Transferring DICOM Instances")
	instancesTransferred = dcm("110104", "DICOM Instances Transferred")
	securityAlert        = dcm("110113", "Security Alert")
	userAuthentication   = dcm("110114", "User Authentication")

	start  = dcm("110120", "Application Start")
	stop   = dcm("110121", "Application Stop")
	login  = dcm("110122", "Login")
	logout = dcm("110123", "Logout")

	application = dcm("110150", "Application")
	launcher    = dcm("110151", "Application Launcher")
	destination = dcm("110152", "Destination Role ID")
	source      = dcm("110153", "Source Role ID")

	studyUID  = dcm("110180", "Study Instance UID")
	nodeID    = dcm("110182", "Node ID")
	uri       = code{"12", "RFC-3881", "URI"}
	patientID = code{"2", "RFC-3881", "Patient Number"}
)

// AlertKind is what an alert is about (PS3.16 CID 403).
type AlertKind int

const (
	NodeAuthentication AlertKind = iota // somebody was not who he had to be: a certificate, an AE title, a password
	NetworkConfiguration
	SecurityConfiguration
	SoftwareConfiguration
	RestrictedFunction
	AuditStopped // also: audit messages were lost
	AuditStarted
	ObjectSecurity // an image is not what was stored, or two claim to be the same
	SecurityRoles
	UserSecurity // an account was made, locked, given another password
)

var alertKinds = map[AlertKind]code{
	NodeAuthentication:    dcm("110126", "Node Authentication"),
	NetworkConfiguration:  dcm("110128", "Network Configuration"),
	SecurityConfiguration: dcm("110129", "Security Configuration"),
	SoftwareConfiguration: dcm("110131", "Software Configuration"),
	RestrictedFunction:    dcm("110132", "Use of Restricted Function"),
	AuditStopped:          dcm("110133", "Audit Recording Stopped"),
	AuditStarted:          dcm("110134", "Audit Recording Started"),
	ObjectSecurity:        dcm("110135", "Object Security Attributes Changed"),
	SecurityRoles:         dcm("110136", "Security Roles Changed"),
	UserSecurity:          dcm("110137", "User security Attributes Changed"),
}

func (k AlertKind) code() code {
	if c, ok := alertKinds[k]; ok {
		return c
	}
	return alertKinds[SecurityConfiguration]
}
