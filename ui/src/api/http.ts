// Requests to the API, as the user who is logged in. The server turns the session into that user's own credential.

import { ApiError, type Status } from './status';

/** Where tabs share the key of the browser's one session. */
export const KEY = 'sampan.key';
export const BASE = '/dashboard';
const SERVER = `${BASE}/server`;

/** Called when the server no longer knows the session. */
let onSessionEnd: () => void = () => {};

export function whenSessionEnds(told: () => void): void {
  onSessionEnd = told;
}

/** The key of the session that this tab shows; another tab's login must not become this one's under its hands. */
let key = localStorage.getItem(KEY) ?? '';

export function sessionKey(): string {
  return key;
}

export function keepSessionKey(opened: string): void {
  key = opened;
  localStorage.setItem(KEY, opened);
}

/** The session is over; what another tab has opened since stays. */
export function forgetSessionKey(): void {
  if (!othersSession()) localStorage.removeItem(KEY);
  key = '';
}

/** Whether another tab has logged in or out since this one did. */
export function othersSession(): boolean {
  return (localStorage.getItem(KEY) ?? '') !== key;
}

/** A request to the dashboard itself. */
export async function ownRequest(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set('x-sampan-key', sessionKey());
  const response = await fetch(`${BASE}${path}`, { ...init, headers, credentials: 'same-origin' });
  if (!response.ok) throw await refusal(response);
  return response;
}

/** A request to the API server; `path` as the API spells it. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set('x-sampan-key', sessionKey());
  if (!headers.has('accept')) headers.set('accept', 'application/json');
  let response: Response;
  try {
    response = await fetch(`${SERVER}${path}`, { ...init, headers, credentials: 'same-origin' });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError({ message: 'the server cannot be reached', code: 0 });
  }
  if (response.ok) return response;
  if (response.status === 401) onSessionEnd();
  throw await refusal(response);
}

export async function getJson<T>(path: string, init: RequestInit = {}): Promise<T> {
  return (await request(path, init)).json() as Promise<T>;
}

export async function send<T>(method: string, path: string, body?: unknown, type = 'application/json'): Promise<T> {
  const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  return getJson<T>(path, { method, body: text, headers: { 'content-type': type } });
}

/** A WebSocket to the API; the key goes as a protocol, for browsers let pages set no headers there. */
export function openSocket(path: string, protocol: string): WebSocket {
  return new WebSocket(`wss://${location.host}${SERVER}${path}`, [protocol, `key.sampan.${sessionKey()}`]);
}

async function refusal(response: Response): Promise<ApiError> {
  const text = await response.text();
  try {
    const status = JSON.parse(text) as Partial<Status> & { error?: string };
    // Prometheus' own paths have an `error` in place of a Status.
    const message = status.message ?? status.error;
    if (typeof message === 'string') return new ApiError({ ...status, message, code: response.status });
  } catch {
    // Not every refusal is a Status: a proxy between may have its own words.
  }
  return new ApiError({ message: text.slice(0, 300) || response.statusText, code: response.status });
}
