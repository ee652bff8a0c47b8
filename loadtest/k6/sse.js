// Unread counts over server-sent events. k6 itself has no SSE: this script needs a k6 with the extension xk6-sse,
//
//   go install go.k6.io/xk6/cmd/xk6@latest && xk6 build --with github.com/phymbert/xk6-sse
//   ./k6 run -e BASE=http://127.0.0.1:8080 loadtest/k6/sse.js
//
// Without it, `oracle` watches the same stream for every member, and checks more.
import http from 'k6/http';
import sse from 'k6/x/sse';
import { check } from 'k6';
import { Counter, Rate } from 'k6/metrics';
import { API, as, populate } from './lib.js';

const nonsense = new Counter('unread_nonsense');
const caughtUp = new Rate('unread_caught_up');

export const options = {
  scenarios: {
    watch: { executor: 'per-vu-iterations', vus: Number(__ENV.USERS || 4), iterations: 1, maxDuration: '60s' },
  },
  thresholds: { checks: ['rate==1'], unread_nonsense: ['count==0'], unread_caught_up: ['rate==1'] },
};

export const setup = populate;

export default function ({ tokens, rooms }) {
  const room = rooms[__VU % rooms.length];
  // Somebody else sends, so that the watcher has something unread.
  const [watcher, sender] = [tokens[__VU % tokens.length], tokens[(__VU + 1) % tokens.length]];
  let expected = 0;
  const response = sse.open(`${API}/me/events`, { method: 'GET', headers: as(watcher).headers }, (client) => {
    client.on('event', (event) => {
      if (event.name === 'connected') {
        const once = as(sender, { 'Idempotency-Key': `sse-${__VU}-${Date.now()}` });
        const sent = http.post(`${API}/rooms/${room}/messages`, JSON.stringify({ body: 'ding' }), once);
        expected = sent.json('seq');
      }
      if (event.name === 'unread') {
        const { room_id, unread, last_seq, read_seq } = JSON.parse(event.data);
        if (unread > last_seq - read_seq) {
          nonsense.add(1);
        }
        if (expected > 0 && room_id === room && last_seq >= expected) {
          caughtUp.add(true);
          client.close();
        }
      }
    });
    client.on('error', () => caughtUp.add(false));
  });
  check(response, { 'stream opened': (r) => r && r.status === 200 });
}
