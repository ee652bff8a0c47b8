// Chat over WebSocket and STOMP: each virtual user follows one room and says something there every second or so.
// Counts what was acknowledged and what was delivered, and fails the run when either is slow or anything is lost.
//
//   k6 run -e BASE=http://127.0.0.1:8080 -e USERS=50 -e SECONDS=30 loadtest/k6/chat.js
import { check } from 'k6';
import { Counter, Rate, Trend } from 'k6/metrics';
import ws from 'k6/ws';
import { WS, frame, frames, populate } from './lib.js';

const SECONDS = Number(__ENV.SECONDS || 30);
const PAUSE_MS = Number(__ENV.PAUSE_MS || 1000);
// After the last send, so that its receipt and delivery can still come.
const DRAIN_MS = 2000;

const receiptMs = new Trend('chat_receipt', true);
const deliveryMs = new Trend('chat_delivery', true);
const acknowledged = new Rate('chat_acknowledged');
const returned = new Rate('chat_returned');
const gaps = new Counter('chat_gaps');
const errors = new Counter('chat_errors');

export const options = {
  scenarios: {
    chat: {
      executor: 'per-vu-iterations',
      vus: Number(__ENV.USERS || 20),
      iterations: 1,
      maxDuration: `${SECONDS + 30}s`,
    },
  },
  thresholds: {
    checks: ['rate==1'],
    chat_receipt: ['p(95)<100', 'p(99)<250'],
    chat_delivery: ['p(95)<100', 'p(99)<250'],
    chat_acknowledged: ['rate==1'],
    chat_returned: ['rate==1'],
    chat_gaps: ['count==0'],
    chat_errors: ['count==0'],
  },
};

export const setup = populate;

export default function ({ tokens, rooms }) {
  const params = { headers: { 'Sec-WebSocket-Protocol': 'v12.stomp' } };
  const opened = ws.connect(WS, params, (socket) => chat(socket, tokens[__VU % tokens.length], rooms[__VU % rooms.length]));
  check(opened, { 'WebSocket was opened': (r) => r && r.status === 101 });
}

function chat(socket, token, room) {
  const stream = { text: '' };
  const sentAt = {};
  const unconfirmed = new Set();
  const unseen = new Set();
  let count = 0;
  let last = 0;
  let leaving = false;

  const send = (...parts) => socket.send(frame(...parts));

  function say() {
    const key = `${__VU}-${Date.now()}-${count++}`;
    sentAt[key] = Date.now();
    unconfirmed.add(key);
    unseen.add(key);
    const headers = { destination: `/publish/${room}`, 'content-type': 'application/json' };
    send('SEND', { ...headers, receipt: key, 'idempotency-key': key }, JSON.stringify({ body: `${key} from k6` }));
  }

  function leave() {
    leaving = true;
    // What has not come by now counts against the rates.
    unconfirmed.forEach(() => acknowledged.add(false));
    unseen.forEach(() => returned.add(false));
    send('DISCONNECT');
    socket.close();
  }

  const take = {
    CONNECTED() {
      send('SUBSCRIBE', { id: 'sub-0', destination: `/topic/${room}`, receipt: 'listening' });
    },
    RECEIPT({ headers }) {
      const id = headers['receipt-id'];
      if (id === 'listening') {
        const end = Date.now() + SECONDS * 1000;
        socket.setInterval(() => Date.now() < end && say(), PAUSE_MS);
        socket.setTimeout(leave, SECONDS * 1000 + DRAIN_MS);
      } else if (unconfirmed.delete(id)) {
        receiptMs.add(Date.now() - sentAt[id]);
        acknowledged.add(true);
      }
    },
    MESSAGE({ headers, body }) {
      if (headers.type !== 'message') {
        return;
      }
      const seq = Number(headers.seq);
      if (last > 0 && seq !== last + 1) {
        gaps.add(1);
      }
      last = seq;
      const key = JSON.parse(body).body.split(' ')[0];
      if (unseen.delete(key)) {
        deliveryMs.add(Date.now() - sentAt[key]);
        returned.add(true);
      }
    },
    ERROR({ headers, body }) {
      errors.add(1);
      console.error(`ERROR ${headers.message}: ${body}`);
    },
  };

  socket.on('open', () => {
    const headers = { 'accept-version': '1.2', host: 'verbatim', 'heart-beat': '0,0' };
    send('CONNECT', { ...headers, Authorization: `Bearer ${token}` });
  });
  socket.on('message', (data) => {
    stream.text += data;
    for (const one of frames(stream)) {
      (take[one.command] || (() => {}))(one);
    }
  });
  socket.on('error', (error) => {
    if (!leaving) {
      errors.add(1);
      console.error(error.error());
    }
  });
  socket.on('close', () => check(leaving, { 'connection stayed to the end': (stayed) => stayed }));
}
