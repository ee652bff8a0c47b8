// REST smoke test: the calls of an ordinary client, each answer checked, all of them fast.
//
//   k6 run -e BASE=http://127.0.0.1:8080 -e USERS=10 -e SECONDS=20 loadtest/k6/rest.js
import http from 'k6/http';
import { check, sleep } from 'k6';
import { API, as, populate } from './lib.js';

export const options = {
  scenarios: {
    clients: {
      executor: 'constant-vus',
      vus: Number(__ENV.USERS || 10),
      duration: `${__ENV.SECONDS || 20}s`,
    },
  },
  thresholds: {
    checks: ['rate==1'],
    // Answers that are errors on purpose are marked with what they should be, and do not count here.
    http_req_failed: ['rate==0'],
    'http_req_duration{kind:send}': ['p(95)<100'],
    'http_req_duration{kind:read}': ['p(95)<50'],
  },
};

export const setup = populate;

const tagged = (params, kind) => ({ ...params, tags: { kind } });
const refused = (params, status) => ({ ...params, responseCallback: http.expectedStatuses(status) });

export default function ({ tokens, rooms }) {
  const token = tokens[__VU % tokens.length];
  const room = `${API}/rooms/${rooms[(__VU + __ITER) % rooms.length]}`;
  const key = `rest-${__VU}-${__ITER}-${Date.now()}`;
  const once = as(token, { 'Idempotency-Key': key });
  const text = JSON.stringify({ body: `${key} from k6` });

  const sent = http.post(`${room}/messages`, text, tagged(once, 'send'));
  check(sent, { 'sent: 201': (r) => r.status === 201 && r.json('seq') > 0 });
  const seq = sent.json('seq');
  const again = http.post(`${room}/messages`, text, tagged(once, 'send'));
  check(again, { 'same key, same content: the same message': (r) => r.json('seq') === seq });
  const other = JSON.stringify({ body: 'something else' });
  const clash = http.post(`${room}/messages`, other, refused(once, 409));
  check(clash, {
    'same key, other content: 409 problem+json': (r) =>
      r.status === 409 && String(r.headers['Content-Type']).includes('problem+json'),
  });

  // min_position waits until the read model has seen the message.
  const seen = sent.headers['Verbatim-Position'] ? `&min_position=${sent.headers['Verbatim-Position']}` : '';
  const page = http.get(`${room}/messages?after=${seq - 1}&limit=1${seen}`, tagged(as(token), 'read'));
  check(page, { 'read back at once': (r) => r.status === 200 && r.json('items.0.seq') === seq });
  const cursor = http.put(`${room}/read-cursor`, JSON.stringify({ seq }), tagged(as(token), 'send'));
  check(cursor, { 'marked read': (r) => r.status === 200 && r.json('read_seq') >= seq });
  const mine = http.get(`${API}/me/rooms`, tagged(as(token), 'read'));
  check(mine, { 'own rooms listed': (r) => r.status === 200 && r.json('items').length >= rooms.length });
  sleep(0.1);
}
