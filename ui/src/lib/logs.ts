// Lines of containers, of several pods at once, put in the order of their time and bounded in number.

import { Lines } from '../api/watch';

export interface LogLine {
  id: number;
  /** Nanoseconds matter: compared as text. */
  time: string;
  text: string;
  source: number;
}

/** RFC 3339 with nanoseconds, a space, the text: as `timestamps=true` has it. */
export function parseLine(line: string, source: number, id: number): LogLine {
  const space = line.indexOf(' ');
  const stamped = space > 19 && /^\d{4}-\d\d-\d\dT/.test(line);
  return stamped ? { id, time: line.slice(0, space), text: line.slice(space + 1), source } : { id, time: '', text: line, source };
}

/** Times as the API writes them have as many digits as they need: only with equal many do they compare as text. */
function comparable(time: string): string {
  const [whole = '', fraction = ''] = time.replace('Z', '').split('.');
  return `${whole}.${fraction.padEnd(9, '0')}`;
}

/** Adds lines that come about when they are made: looked for from the end, the right place is near. */
export function merge(lines: LogLine[], fresh: LogLine[], most: number): LogLine[] {
  const all = lines.slice();
  for (const line of fresh) {
    let at = all.length;
    if (line.time) {
      const time = comparable(line.time);
      while (at > 0 && all[at - 1]!.time && comparable(all[at - 1]!.time) > time) at -= 1;
    }
    all.splice(at, 0, line);
  }
  return all.length > most ? all.slice(all.length - most) : all;
}

/** Reads a stream of lines to its end. */
export async function readLines(body: ReadableStream<Uint8Array>, take: (lines: string[]) => void): Promise<void> {
  const reader = body.getReader();
  const lines = new Lines();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    take(lines.push(value));
  }
}

/** Of a line that is a JSON object or names its level. */
export function levelOf(text: string): 'bad' | 'warn' | '' {
  const head = text.slice(0, 200);
  if (/\b(ERROR|FATAL|PANIC|error|fatal|panic)\b/.test(head) || /"level":"(error|fatal)"/.test(head)) return 'bad';
  if (/\b(WARN|WARNING|warning)\b/.test(head) || /"level":"warn/.test(head)) return 'warn';
  return '';
}

/** Names without the words that all of them begin with: what tells pods apart stands at their end. */
export function shortNames(names: string[]): string[] {
  const [first = '', ...others] = names;
  if (others.length === 0) return names.slice();
  let shared = 0;
  while (shared < first.length && others.every((name) => name[shared] === first[shared])) shared += 1;
  const cut = first.lastIndexOf('-', shared - 1) + 1;
  return names.map((name) => name.slice(cut) || name);
}
