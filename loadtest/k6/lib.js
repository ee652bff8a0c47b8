// What the scripts share: accounts and rooms made over REST before the load starts, and STOMP 1.2 frames.
import http from 'k6/http';
import { check, fail } from 'k6';

// Where the server is. Only ever point this at a machine of your own.
export const BASE = __ENV.BASE || 'http://127.0.0.1:8080';
export const API = `${BASE}/api/v1`;
export const WS = `${BASE.replace(/^http/, 'ws')}/ws`;

const PASSWORD = 'correct horse battery staple';
// Registering costs the server an argon2 hash on purpose, so a few members share all connections.
const MEMBERS = Number(__ENV.MEMBERS || 4);
const ROOMS = Number(__ENV.ROOMS || 4);

export function as(token, headers = {}) {
  return { headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', ...headers } };
}

// Answers the parsed body, or ends the run: without its accounts and rooms nothing else means anything.
function must(response, status, what) {
  if (response.status !== status) {
    fail(`${what}: ${response.status} ${response.body}`);
  }
  return response.json();
}

// Members who are all in all rooms: {tokens, rooms}.
export function populate() {
  const run = `${Date.now()}-${Math.floor(Math.random() * 1e6)}`;
  const json = { headers: { 'Content-Type': 'application/json' } };
  const tokens = [];
  for (let i = 0; i < MEMBERS; i++) {
    const email = `k6-${run}-${i}@example.org`;
    const member = JSON.stringify({ email, password: PASSWORD, display_name: `k6 ${i}` });
    must(http.post(`${API}/members`, member, json), 201, 'register');
    const login = http.post(`${API}/auth/login`, JSON.stringify({ email, password: PASSWORD }), json);
    tokens.push(must(login, 200, 'log in').access_token);
  }
  const rooms = [];
  for (let i = 0; i < ROOMS; i++) {
    const room = http.post(`${API}/rooms`, JSON.stringify({ name: `k6 room ${i}` }), as(tokens[0]));
    const id = must(room, 201, 'open a room').room_id;
    for (const token of tokens.slice(1)) {
      check(http.post(`${API}/rooms/${id}/members`, '{}', as(token)), { joined: (r) => r.status === 200 });
    }
    rooms.push(id);
  }
  return { tokens, rooms };
}

function escape(text) {
  return String(text).replace(/\\/g, '\\\\').replace(/\r/g, '\\r').replace(/\n/g, '\\n').replace(/:/g, '\\c');
}

function unescape(text) {
  const plain = { '\\\\': '\\', '\\r': '\r', '\\n': '\n', '\\c': ':' };
  return text.replace(/\\[\\rnc]/g, (pair) => plain[pair]);
}

// A frame as text. CONNECT is the one command of ours whose headers are not escaped (STOMP 1.2, Value Encoding).
export function frame(command, headers = {}, body = '') {
  const value = command === 'CONNECT' ? String : escape;
  const lines = Object.entries(headers).map(([name, content]) => `${value(name)}:${value(content)}\n`);
  return `${command}\n${lines.join('')}\n${body}\0`;
}

// Takes whole frames out of `stream.text`, to which the caller adds what comes; a cut frame waits there for its rest.
// Bodies are JSON and hold no NUL.
export function frames(stream) {
  const parts = stream.text.split('\0');
  stream.text = parts.pop();
  return parts.map((part) => {
    const text = part.replace(/^[\r\n]+/, '');
    const end = text.search(/\r?\n\r?\n/);
    const [command, ...lines] = text.slice(0, end).split(/\r?\n/);
    const headers = {};
    for (const line of lines) {
      const colon = line.indexOf(':');
      const name = unescape(line.slice(0, colon));
      if (!(name in headers)) {
        headers[name] = unescape(line.slice(colon + 1));
      }
    }
    return { command, headers, body: text.slice(end).replace(/^\r?\n\r?\n/, '') };
  });
}
