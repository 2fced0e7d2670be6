// Logs of several pods at once, live: one stream for each of them, put together by time. A stream that ends or breaks off
// is opened again where it was; a pod that is gone ends its own, and what it wrote stays.

import { Position, follow } from './follow';
import { merge, parseLine, type LogLine } from './logs';

const LINES_MAX = 10_000;
const GATHER_MS = 100;

export interface Scope {
  container: string;
  /** What the container's last instance wrote, which is over. */
  previous: boolean;
  /** Lines of each pod to begin with. */
  tail: number;
}

/** Another pod may come under the same name. */
export interface Followed {
  name: string;
  uid: string;
}

/** Asks for a pod's log, with the query of the API. */
export type Ask = (pod: string, query: URLSearchParams, signal: AbortSignal) => Promise<Response>;

export function podLogs(ask: Ask) {
  let lines = $state.raw<LogLine[]>([]);
  let sources = $state.raw<string[]>([]);
  /** By the pod's name: why its stream is not there. */
  let troubles = $state.raw(new Map<string, string>());
  /** By the pod's name: a stream asks by it, and would get what another pod of that name writes. */
  const streams = new Map<string, { uid: string; ending: AbortController }>();
  let scope: Scope | undefined;
  let nextId = 0;
  let waiting: LogLine[] = [];
  let gathering: ReturnType<typeof setTimeout> | undefined;

  function gather(fresh: LogLine[]) {
    waiting.push(...fresh);
    gathering ??= setTimeout(() => {
      gathering = undefined;
      lines = merge(lines, waiting, LINES_MAX);
      waiting = [];
    }, GATHER_MS);
  }

  function complain(pod: string, message: string | undefined) {
    if (troubles.get(pod) === message) return;
    const others = new Map(troubles);
    if (message === undefined) others.delete(pod);
    else others.set(pod, message);
    troubles = others;
  }

  function sourceOf(pod: string): number {
    if (!sources.includes(pod)) sources = [...sources, pod];
    return sources.indexOf(pod);
  }

  async function open({ name, uid }: Followed, { container, previous, tail }: Scope) {
    const [position, source, ending] = [new Position(0), sourceOf(name), new AbortController()];
    streams.get(name)?.ending.abort();
    streams.set(name, { uid, ending });
    const query = { container, timestamps: 'true', follow: String(!previous), ...(previous ? { previous: 'true' } : {}) };
    await follow(
      {
        open: (signal) => {
          const since = position.resume();
          return ask(name, new URLSearchParams({ ...query, ...(since ? { sinceTime: since } : { tailLines: String(tail) }) }), signal);
        },
        take: (fresh) => gather(fresh.map((line) => parseLine(line, source, nextId++)).filter((line) => position.isNew(line.time, `${line.time} ${line.text}`))),
        state: (opened, error) => {
          // A pod that is gone is no trouble.
          complain(name, error && error.code !== 404 ? error.message : undefined);
          if (previous && !opened) ending.abort();
        },
        // A container that does not run yet is refused with 400, and comes.
        final: [401, 403, 404],
      },
      ending.signal,
    );
  }

  function end() {
    for (const { ending } of streams.values()) ending.abort();
    streams.clear();
    clearTimeout(gathering);
    gathering = undefined;
    waiting = [];
  }

  return {
    get lines() {
      return lines;
    },
    /** Names of the pods that were ever followed; lines name theirs by its place. */
    get sources() {
      return sources;
    },
    /** Why a stream is not there, of one of those that are not. */
    get trouble() {
      return [...troubles.values()][0] ?? '';
    },
    /** Pods that are new join; those that are no longer there are read to their end. Another scope begins anew. */
    show(pods: Followed[], wanted: Scope) {
      if (scope?.container !== wanted.container || scope.previous !== wanted.previous) {
        scope = wanted;
        end();
        [lines, sources, troubles] = [[], [], new Map()];
      }
      for (const pod of pods) if (streams.get(pod.name)?.uid !== pod.uid) void open(pod, wanted);
    },
    end,
  };
}
