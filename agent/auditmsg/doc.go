// Package auditmsg writes the audit messages of DICOM: who did what, with which study,
// from where, when, and how it ended (PS3.15 §A.5), for the audit repository of the
// facility. Author has a method a message:
//
//	Activity      110100  the appliance started, stopped       A.5.3.1
//	LogUsed       110101  the appliance's own audit log was read A.5.3.2
//	Beginning     110102  a transfer of a study begins         A.5.3.3
//	Transferred   110104  it has ended, well or not            A.5.3.7
//	Alert         110113  something for who guards the network A.5.3.11
//	Login         110114  somebody logged in or out, or tried  A.5.3.12
//
// It promises that a message follows the schema of §A.5.1 and is at most MaxBytes long
// whatever text it is given, because AE titles and UIDs are what a peer says they are;
// that no person who is examined is named: there is no field for a name, and the patient
// ID and the accession numbers are told only by an Author who was told to; and that the
// methods are pure and never fail: an event is not left out because its text is odd.
//
// It deliberately does not decide when a message is due, does not send it
// (internal/syslog5424 does) and lists no SOP instances: they are counted by class
// (§A.5.2 says that the list is not needed for audit).
//
// # The message
//
// UTF-8, no byte order mark, no white space between elements. Attributes in [ ] and
// elements with ? may be missing, those with * are there any number of times.
//
//	<?xml version="1.0" encoding="UTF-8"?>
//	<AuditMessage>
//	  <EventIdentification EventActionCode="C|R|U|D|E" EventDateTime="2026-11-22T18:20:14.25+01:00"
//	      EventOutcomeIndicator="0|4|8|12">
//	    <EventID CODE/> <EventTypeCode CODE/>? <EventOutcomeDescription>TEXT</EventOutcomeDescription>?
//	  </EventIdentification>
//	  <ActiveParticipant UserID="4711" [AlternativeUserID="AETITLES=EDGED;URGENT"] [UserName="edged"]
//	      UserIsRequestor="true|false" [NetworkAccessPointID="10.0.0.5" NetworkAccessPointTypeCode="1|2"]>
//	    <RoleIDCode CODE/>?
//	  </ActiveParticipant>*
//	  <AuditSourceIdentification [AuditEnterpriseSiteID="120148"] AuditSourceID="edged-7f3a">
//	    <AuditSourceTypeCode csd-code="4"/>
//	  </AuditSourceIdentification>
//	  <ParticipantObjectIdentification ParticipantObjectID="1.2.3" ParticipantObjectTypeCode="2"
//	      ParticipantObjectTypeCodeRole="3">
//	    <ParticipantObjectIDTypeCode CODE/> <ParticipantObjectName>Study</ParticipantObjectName>
//	    <ParticipantObjectDetail type="T" value="BASE64"/>?
//	    <ParticipantObjectDescription>
//	      <Accession Number="A1"/>* <SOPClass [UID="1.2"] NumberOfInstances="120"/>*
//	    </ParticipantObjectDescription>?
//	  </ParticipantObjectIdentification>*
//	</AuditMessage>
//
//	CODE   csd-code="110104" codeSystemName="DCM" originalText="DICOM Instances Transferred"
//
// # Where the standard leaves a choice, or contradicts itself
//
//   - The tables of §A.5.3 call ParticipantObjectName optional, the schema demands it (or a
//     query): there is a fixed word, never a name.
//   - The tables of transfers demand one patient. An Author that does not tell patient IDs
//     says "withheld" in its place: right by the count, not by the meaning. This belongs in
//     the conformance statement.
//   - A transfer that went well for some instances and not for others is two messages
//     (§A.5.2): the caller sends both. It is about one study.
//   - SOP classes beyond MaxClasses are one SOPClass without a UID, so that the sum is right.
//     Accession numbers beyond MaxAccessions are left out.
//   - Of several participants only the first that says so is the requestor (§A.5.2).
//
// # Text
//
// Control characters, bidirectional overrides, invisible and unassigned characters are
// dropped, white space becomes single blanks, invalid UTF-8 becomes U+FFFD, and a text ends
// where its escaped form would be longer than its bound. A mandatory text of which nothing
// is left is "unknown". A semicolon in an AE title becomes an underscore: it would make two
// titles of one.
package auditmsg
