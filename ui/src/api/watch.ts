// One watch that lasts: it begins with all that there is, goes on where it broke off, and begins anew on 410.

import { request } from './http';
import type { KubeObject } from './objects';
import { ApiError, asApiError } from './status';

export type EventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';

export interface WatchEvent {
  type: EventType;
  object: KubeObject;
}

export interface Watching {
  path: string;
  accept: string;
  query?: Record<string, string>;
  /** Everything known so far no longer counts: the state comes anew. */
  restarted: () => void;
  event: (event: WatchEvent) => void;
  /** All that there was has been told. */
  synced: () => void;
  /** `undefined` when it is well again. A refusal (403, 404) ends the watch. */
  failed: (error: ApiError | undefined) => void;
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 20_000;
/** A watch that ends sooner than this was cut off, by a proxy perhaps: the next one waits. */
const SHORT_MS = 1000;
const FINAL = new Set([400, 401, 403, 404, 405, 406]);

/** Splits a stream of bytes at newlines; each line is one JSON value. */
export class Lines {
  private rest = '';
  private readonly decoder = new TextDecoder();

  push(bytes: Uint8Array): string[] {
    const text = this.rest + this.decoder.decode(bytes, { stream: true });
    const lines = text.split('\n');
    this.rest = lines.pop() ?? '';
    return lines.filter((line) => line !== '');
  }
}

/** The version behind which to go on, wherever the form of the answer has it. */
export function versionOf(event: WatchEvent): string | undefined {
  const { object } = event;
  const row = object['rows']?.[0]?.object as KubeObject | undefined;
  return row?.metadata?.resourceVersion ?? object.metadata?.resourceVersion;
}

/** Runs until `signal` is aborted, or until the API refuses for good. */
export async function watch(watching: Watching, signal: AbortSignal): Promise<void> {
  let version: string | undefined;
  let pause = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      if (version === undefined) watching.restarted();
      const begun = Date.now();
      version = await stream(watching, version, signal, () => (pause = FIRST_PAUSE_MS));
      if (Date.now() - begun < SHORT_MS) await waited(FIRST_PAUSE_MS * (0.5 + Math.random()), signal);
    } catch (caught) {
      if (signal.aborted) return;
      const error = asApiError(caught);
      if (error.code === 410) {
        version = undefined;
        continue;
      }
      watching.failed(error);
      if (FINAL.has(error.code)) return;
      await waited(pause * (0.5 + Math.random()), signal);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }
}

async function stream(
  watching: Watching,
  from: string | undefined,
  signal: AbortSignal,
  well: () => void,
): Promise<string | undefined> {
  const query = new URLSearchParams({ watch: '1', allowWatchBookmarks: 'true', ...watching.query });
  if (from === undefined) {
    query.set('sendInitialEvents', 'true');
    query.set('resourceVersionMatch', 'NotOlderThan');
  } else {
    query.set('resourceVersion', from);
  }
  const response = await request(`${watching.path}?${query}`, { headers: { accept: watching.accept }, signal });
  const reader = response.body?.getReader();
  if (!reader) throw new ApiError({ message: 'the server sent no stream', code: 0 });
  watching.failed(undefined);
  well();
  let version = from;
  const lines = new Lines();
  for (;;) {
    const { done, value } = await reader.read();
    // A server ends watches from time to time: one that had told everything goes on where it was.
    if (done) return version;
    for (const line of lines.push(value)) {
      const event = JSON.parse(line) as WatchEvent;
      if (event.type === 'ERROR') {
        throw new ApiError({ message: event.object['message'], code: event.object['code'] ?? 500 });
      }
      if (event.type === 'BOOKMARK') {
        version = versionOf(event) ?? version;
        if (from === undefined && endsInitial(event)) watching.synced();
        continue;
      }
      // Before the first bookmark the order is not that of versions: breaking off there begins anew.
      if (version !== undefined) version = versionOf(event) ?? version;
      watching.event(event);
    }
  }
}

function endsInitial(event: WatchEvent): boolean {
  const row = event.object['rows']?.[0]?.object as KubeObject | undefined;
  const annotations = row?.metadata?.annotations ?? event.object.metadata?.annotations;
  return annotations?.['k8s.io/initial-events-end'] === 'true';
}

export function waited(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}
