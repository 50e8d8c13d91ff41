"""What the applications of pynetdicom do not offer: one verb a run.

    store   HOST PORT AET FILE          in the transfer syntax of the file
    echo    HOST PORT AET CA [CERT KEY] by TLS
    commit  HOST PORT AET PORT|- CLASS UID...   N-ACTION; the answer is awaited on the same
                                        association (-) or on a new one at PORT
    step    HOST PORT AET               N-CREATE and N-SET of a performed procedure step
    serve   PORT AET DIR                stores, verifies, commits, takes steps

What became of it is printed; the exit code is 0 when the peer said success.
"""
import os
import ssl
import sys
import threading
import time

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep as MPPS,
    StorageCommitmentPushModel as Commitment,
    Verification,
)

CALLED = "EDGED"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"


def associate(ae, host, port, **options):
    assoc = ae.associate(host, int(port), ae_title=CALLED, **options)
    if not assoc.is_established:
        sys.exit("no association: rejected %s aborted %s" % (assoc.is_rejected, assoc.is_aborted))
    return assoc


def must(status, what):
    if not status or status.Status != 0x0000:
        sys.exit("%s: %s" % (what, status))


def store(host, port, title, path):
    ae = AE(title)
    ds = dcmread(path, force=True)
    ae.add_requested_context(ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.TransferSyntaxUID)
    assoc = associate(ae, host, port)
    try:
        must(assoc.send_c_store(path), "C-STORE")
    finally:
        assoc.release()


def echo(host, port, title, ca, cert=None, key=None):
    ae = AE(title)
    ae.add_requested_context(Verification)
    context = ssl.create_default_context(cafile=ca)
    if cert:
        context.load_cert_chain(cert, key)
    assoc = associate(ae, host, port, tls_args=(context, "localhost"))
    must(assoc.send_c_echo(), "C-ECHO")
    assoc.release()


def commit(host, port, title, listen, *references):
    done, said = threading.Event(), {}

    def reported(event):
        info = event.event_information
        said["committed"] = [i.ReferencedSOPInstanceUID for i in info.get("ReferencedSOPSequence", [])]
        said["failed"] = ["%s %04X" % (i.ReferencedSOPInstanceUID, i.FailureReason) for i in info.get("FailedSOPSequence", [])]
        said["transaction"], said["type"] = info.TransactionUID, event.event_type
        said["calling"] = event.assoc.requestor.ae_title
        done.set()
        return 0x0000, None

    handlers = [(evt.EVT_N_EVENT_REPORT, reported)]
    ae, server = AE(title), None
    ae.add_requested_context(Commitment)
    if listen != "-":
        ae.add_supported_context(Commitment, scu_role=True, scp_role=True)
        ae.add_supported_context(Verification)
        server = ae.start_server(("127.0.0.1", int(listen)), block=False, evt_handlers=handlers)
    assoc = associate(ae, host, port, evt_handlers=handlers)
    ds = Dataset()
    ds.TransactionUID = generate_uid()
    ds.ReferencedSOPSequence = [Dataset() for _ in references[::2]]
    for item, sop_class, uid in zip(ds.ReferencedSOPSequence, references[::2], references[1::2]):
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    status, _ = assoc.send_n_action(ds, 1, Commitment, WELL_KNOWN)
    must(status, "N-ACTION")
    if server:
        assoc.release()
    arrived = done.wait(60)
    time.sleep(0.2)  # the response to the report goes out after the handler has returned
    if not server:
        assoc.release()
    if server:
        server.shutdown()
    if not arrived or said["transaction"] != ds.TransactionUID:
        sys.exit("no report within 60 s")
    print("committed", *sorted(said["committed"]))
    for line in sorted(said["failed"]):
        print("failed", line)
    print("type", said["type"])
    if server and said["calling"].strip() != CALLED:
        sys.exit("the report came from %r" % said["calling"])


def step(host, port, title):
    ae = AE(title)
    ae.add_requested_context(MPPS)
    assoc = associate(ae, host, port)
    uid = generate_uid()
    status, _ = assoc.send_n_create(created(), MPPS, uid)
    must(status, "N-CREATE")
    status, _ = assoc.send_n_set(ended("COMPLETED"), MPPS, uid)
    must(status, "N-SET COMPLETED")
    status, _ = assoc.send_n_set(ended("DISCONTINUED"), MPPS, uid)
    if not status or status.Status != 0x0110:
        sys.exit("N-SET of a step that has ended: %s, want 0110" % status)
    status, _ = assoc.send_n_set(ended("COMPLETED"), MPPS, generate_uid())
    if not status or status.Status != 0x0112:
        sys.exit("N-SET of a step that never began: %s, want 0112" % status)
    assoc.release()
    print("completed")


def created():
    """Table F.7.2-1 of PS3.4, what is of type 1 and most of type 2."""
    ds = Dataset()
    item = Dataset()
    item.StudyInstanceUID = generate_uid()
    item.ReferencedStudySequence = []
    for keyword in ("AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription", "ScheduledProcedureStepID", "ScheduledProcedureStepDescription"):
        setattr(item, keyword, "")
    item.ScheduledProtocolCodeSequence = []
    ds.ScheduledStepAttributesSequence = [item]
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "PROVA^ANNA", "PROVA-1", "", "F"
    ds.ReferencedPatientSequence = []
    ds.PerformedProcedureStepID = "1"
    ds.PerformedStationAETitle, ds.PerformedStationName, ds.PerformedLocation = "SIMCT", "", ""
    ds.PerformedProcedureStepStartDate, ds.PerformedProcedureStepStartTime = "20260101", "101500"
    ds.PerformedProcedureStepStatus = "IN PROGRESS"
    ds.PerformedProcedureStepDescription = ds.PerformedProcedureTypeDescription = ""
    ds.ProcedureCodeSequence = []
    ds.PerformedProcedureStepEndDate = ds.PerformedProcedureStepEndTime = ""
    ds.Modality, ds.StudyID = "CT", ""
    ds.PerformedProtocolCodeSequence = []
    ds.PerformedSeriesSequence = []
    return ds


def ended(state):
    ds = Dataset()
    ds.PerformedProcedureStepStatus = state
    ds.PerformedProcedureStepEndDate, ds.PerformedProcedureStepEndTime = "20260101", "102500"
    series, image = Dataset(), Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", generate_uid()
    series.PerformingPhysicianName = series.OperatorsName = series.SeriesDescription = series.RetrieveAETitle = ""
    series.ProtocolName, series.SeriesInstanceUID = "PROVA", generate_uid()
    series.ReferencedImageSequence, series.ReferencedNonImageCompositeSOPInstanceSequence = [image], []
    ds.PerformedSeriesSequence = [series]
    return ds


def serve(port, title, folder):
    ae = AE(title)
    ae.supported_contexts = AllStoragePresentationContexts
    for context in ae.supported_contexts:
        context.transfer_syntax = ALL_TRANSFER_SYNTAXES
    ae.add_supported_context(Verification)
    ae.add_supported_context(Commitment)
    ae.add_supported_context(MPPS)
    steps = {}

    def stored(event):
        uid = event.request.AffectedSOPInstanceUID
        path = os.path.join(folder, "." + uid)
        with open(path, "wb") as f:
            f.write(event.encoded_dataset())
        os.rename(path, os.path.join(folder, uid + ".dcm"))
        return 0x0000

    def asked(event):
        if event.assoc.requestor.ae_title.strip() == "":
            return 0x0110, None
        reports.append((event.assoc, event.action_information))
        return 0x0000, None

    def step_created(event):
        steps[event.request.AffectedSOPInstanceUID] = event.attribute_list
        return 0x0000, event.attribute_list

    def step_set(event):
        uid = event.request.RequestedSOPInstanceUID
        if uid not in steps:
            return 0x0112, None
        steps[uid].update(event.modification_list)
        print("step", uid, steps[uid].PerformedProcedureStepStatus, flush=True)
        return 0x0000, steps[uid]

    reports = []
    ae.start_server(("127.0.0.1", int(port)), block=False, evt_handlers=[
        (evt.EVT_C_ECHO, lambda event: 0x0000), (evt.EVT_C_STORE, stored), (evt.EVT_N_ACTION, asked),
        (evt.EVT_N_CREATE, step_created), (evt.EVT_N_SET, step_set)])
    while True:  # the parent ends us
        time.sleep(0.05)
        while reports:
            report(folder, *reports.pop(0))


def report(folder, assoc, asked):
    time.sleep(0.2)  # the response to the N-ACTION goes out after its handler has returned
    ds = Dataset()
    ds.TransactionUID = asked.TransactionUID
    good, bad = [], []
    for item in asked.ReferencedSOPSequence:
        here = os.path.exists(os.path.join(folder, item.ReferencedSOPInstanceUID + ".dcm"))
        (good if here else bad).append(item)
        if not here:
            item.FailureReason = 0x0112
    if good:
        ds.ReferencedSOPSequence = good
    if bad:
        ds.FailedSOPSequence = bad
    status, _ = assoc.send_n_event_report(ds, 2 if bad else 1, Commitment, WELL_KNOWN)
    print("reported", len(good), len(bad), "%04X" % status.Status if status else "no answer", flush=True)


if __name__ == "__main__":
    try:
        globals()[sys.argv[1]](*sys.argv[2:])
    except SystemExit as e:  # without waiting for the threads of an association that stands
        print(e, file=sys.stderr, flush=True)
        os._exit(1)
