// What dcmjs-dimse does: one verb a run.
//
//   echo   HOST PORT AET [CA [CERT KEY]]
//   store  HOST PORT AET FILE
//   find   HOST PORT AET LEVEL KEYWORD=VALUE ...
//   move   HOST PORT AET DESTINATION STUDY
//   get    HOST PORT AET STUDY
//   commit HOST PORT AET CLASS UID ...   the answer is awaited on the same association
//   step   HOST PORT AET
//   serve  PORT DIR
//
// The exit code is 0 when the peer said success.
const fs = require('fs');
const path = require('path');
const dimse = require('dcmjs-dimse');
const { Client, Dataset, Scp, Server } = dimse;
const { CEchoRequest, CStoreRequest, CFindRequest, CMoveRequest, CGetRequest, NActionRequest, NCreateRequest, NSetRequest } = dimse.requests;
const { CEchoResponse, CStoreResponse, NEventReportResponse } = dimse.responses;
const { PresentationContextResult, SopClass, Status } = dimse.constants;

if (dimse.log.setLevel) { dimse.log.setLevel('error'); }
const fail = (why) => { console.error(why); process.exit(1); };
const uid = () => '2.25.' + BigInt('0x' + require('crypto').randomBytes(14).toString('hex'));

// send makes the requests one after the other, and checks the last status of each.
function send(host, port, title, requests, want = {}, options = {}, prepare = () => {}) {
  const client = new Client();
  let left = requests.length;
  requests.forEach((request, i) => {
    request.on('response', (response) => {
      const status = response.getStatus();
      if (status === Status.Pending) { return; }
      left--;
      if (status !== (want[i] || Status.Success)) { fail('request ' + i + ' of ' + requests.length + ': ' + status.toString(16)); }
    });
    client.addRequest(request);
  });
  prepare(client);
  client.on('associationRejected', () => fail('rejected'));
  client.on('networkError', (e) => fail('network: ' + e));
  client.on('closed', () => { if (left !== 0) { fail(left + ' requests without an answer'); } process.exit(0); });
  client.send(host, Number(port), title, 'EDGED', options);
}

const verbs = {
  echo(host, port, title, ca, cert, key) {
    const options = ca ? { securityOptions: { ca: fs.readFileSync(ca), cert: cert && fs.readFileSync(cert), key: key && fs.readFileSync(key), requestCert: true, rejectUnauthorized: true, servername: 'localhost' } } : {};
    send(host, port, title, [new CEchoRequest()], {}, options);
  },
  store(host, port, title, file) { send(host, port, title, [new CStoreRequest(file)]); },
  find(host, port, title, level, ...pairs) {
    const keys = Object.fromEntries(pairs.map((p) => [p.slice(0, p.indexOf('=')), p.slice(p.indexOf('=') + 1)]));
    if (level === 'PATIENT') { // there is no maker for Patient Root
      const request = new CFindRequest();
      request.setAffectedSopClassUid('1.2.840.10008.5.1.4.1.2.1.1');
      request.setDataset(new Dataset(keys));
      send(host, port, title, [request]);
      return;
    }
    delete keys.QueryRetrieveLevel;
    const make = { STUDY: 'createStudyFindRequest', SERIES: 'createSeriesFindRequest', IMAGE: 'createImageFindRequest' }[level];
    send(host, port, title, [CFindRequest[make](keys)]);
  },
  move(host, port, title, destination, study) { send(host, port, title, [CMoveRequest.createStudyMoveRequest(destination, study)]); },
  get(host, port, title, study) {
    send(host, port, title, [CGetRequest.createStudyGetRequest(study)], {}, {}, (client) => client.on('cStoreRequest', (request, callback) => {
      const response = CStoreResponse.fromRequest(request);
      response.setStatus(Status.Success);
      callback(response);
    }));
  },
  commit(host, port, title, ...references) {
    const wellKnown = '1.2.840.10008.1.20.1.1';
    const request = new NActionRequest(SopClass.StorageCommitmentPushModel, wellKnown, 1);
    const items = [];
    for (let i = 0; i < references.length; i += 2) { items.push({ ReferencedSOPClassUID: references[i], ReferencedSOPInstanceUID: references[i + 1] }); }
    const transaction = uid();
    request.setDataset(new Dataset({ TransactionUID: transaction, ReferencedSOPSequence: items }));
    let reported = false;
    process.on('exit', (code) => { if (code === 0 && !reported) { console.error('no report'); process.exitCode = 1; } });
    send(host, port, title, [request], {}, { associationLingerTimeout: 5000 }, (client) => client.on('nEventReportRequest', (report, callback) => {
      const info = report.getDataset().getElements();
      const list = (v) => (Array.isArray(v) ? v : v ? [v] : []);
      reported = info.TransactionUID === transaction;
      console.log('committed', ...list(info.ReferencedSOPSequence).map((i) => i.ReferencedSOPInstanceUID).sort());
      list(info.FailedSOPSequence).forEach((i) => console.log('failed', i.ReferencedSOPInstanceUID, Number(i.FailureReason).toString(16).padStart(4, '0')));
      console.log('type', report.getEventTypeId());
      const response = NEventReportResponse.fromRequest(report);
      response.setStatus(Status.Success);
      callback(response);
    }));
  },
  step(host, port, title) {
    const step = uid();
    const create = new NCreateRequest(SopClass.ModalityPerformedProcedureStep, step);
    create.setDataset(new Dataset({
      ScheduledStepAttributesSequence: [{ StudyInstanceUID: uid(), AccessionNumber: '', RequestedProcedureID: '', ScheduledProcedureStepID: '' }],
      PatientName: 'PROVA^ANNA', PatientID: 'PROVA-1', PatientBirthDate: '', PatientSex: 'F',
      PerformedProcedureStepID: '1', PerformedStationAETitle: 'SIMCT', PerformedProcedureStepStartDate: '20260101', PerformedProcedureStepStartTime: '101500',
      PerformedProcedureStepStatus: 'IN PROGRESS', PerformedProcedureStepEndDate: '', PerformedProcedureStepEndTime: '', Modality: 'CT', PerformedSeriesSequence: [],
    }));
    const set = (state) => {
      const request = new NSetRequest(SopClass.ModalityPerformedProcedureStep, step);
      request.setDataset(new Dataset({
        PerformedProcedureStepStatus: state, PerformedProcedureStepEndDate: '20260101', PerformedProcedureStepEndTime: '102500',
        PerformedSeriesSequence: [{ ProtocolName: 'PROVA', SeriesInstanceUID: uid(), ReferencedImageSequence: [{ ReferencedSOPClassUID: '1.2.840.10008.5.1.4.1.1.2', ReferencedSOPInstanceUID: uid() }] }],
      }));
      return request;
    };
    send(host, port, title, [create, set('COMPLETED'), set('DISCONTINUED')], { 2: 0x0110 });
  },
  serve(port, folder) {
    class Keeper extends Scp {
      associationRequested(association) {
        association.getPresentationContexts().forEach((c) => {
          const context = association.getPresentationContext(c.id);
          context.setResult(PresentationContextResult.Accept, context.getTransferSyntaxUids()[0]);
        });
        this.sendAssociationAccept();
      }
      cEchoRequest(request, callback) { const r = CEchoResponse.fromRequest(request); r.setStatus(Status.Success); callback(r); }
      cStoreRequest(request, callback) {
        const name = path.join(folder, request.getAffectedSopInstanceUid());
        request.getDataset().toFile(name + '.part', (e) => {
          if (e) { console.error(e); } else { fs.renameSync(name + '.part', name + '.dcm'); }
          const r = CStoreResponse.fromRequest(request);
          r.setStatus(e ? Status.ProcessingFailure : Status.Success);
          callback(r);
        });
      }
      associationReleaseRequested() { this.sendAssociationReleaseResponse(); }
    }
    new Server(Keeper).listen(Number(port));
  },
};

const [verb, ...args] = process.argv.slice(2);
process.on('uncaughtException', (e) => fail(e.stack || e));
verbs[verb](...args);
