# A modality made of pynetdicom: asks for storage commitment, hears the report on
# the same association or on one that is opened to it, and prints what it heard.
#   commitment_scu.py PORT same|new LISTENPORT
import sys, time
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, evt, build_role
from pynetdicom.sop_class import StorageCommitmentPushModel as PUSH

port, how, listen = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
heard = []

def on_report(event):
    info = event.event_information
    refs = lambda name: sorted(r.ReferencedSOPInstanceUID for r in info.get(name, []))
    heard.append((event.event_type, str(info.TransactionUID), refs("ReferencedSOPSequence"), refs("FailedSOPSequence"),
                  event.assoc.requestor.ae_title, event.context.transfer_syntax.name))
    return 0x0000, None

handlers = [(evt.EVT_N_EVENT_REPORT, on_report)]
ae = AE(ae_title="PYMOD")
ae.add_requested_context(PUSH, ImplicitVRLittleEndian)
ae.add_supported_context(PUSH, ImplicitVRLittleEndian, scu_role=False, scp_role=True)
if how == "new":
    server = ae.start_server(("127.0.0.1", listen), block=False, evt_handlers=handlers)

ds = Dataset()
ds.TransactionUID = "2.25.100"
ds.ReferencedSOPSequence = []
for uid in ("2.25.1", "2.25.2"):
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
    ds.ReferencedSOPSequence.append(item)

assoc = ae.associate("127.0.0.1", port, ae_title="PACS1", evt_handlers=handlers if how == "same" else [])
assert assoc.is_established
status, _ = assoc.send_n_action(ds, 1, PUSH, "1.2.840.10008.1.20.1.1")
assert status.Status == 0x0000, status
if how == "new":
    assoc.release()
end = time.time() + 20
while not heard and time.time() < end:
    time.sleep(0.05)
time.sleep(0.5)  # a release before its own answer is out breaks pynetdicom (its issue 820)
if how == "same":
    assoc.release()
else:
    server.shutdown()
print(heard)
