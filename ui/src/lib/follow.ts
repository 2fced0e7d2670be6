// Streams of lines that last: one that ends or breaks off is opened again, from where it was, after pauses that grow to a
// bound.

import { ApiError, asApiError } from '../api/status';
import { waited } from '../api/watch';
import { readLines } from './logs';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** Lines that are remembered to know them again. */
const RECENT_MAX = 5000;

/** How far a stream is. What is told again behind a break is known by its key, for servers ask by the second. */
export class Position {
  private last = Number.NEGATIVE_INFINITY;
  private recent: { at: number; key: string }[] = [];
  private again = new Map<string, number>();
  private readonly marginMs: number;

  /** Sources that are merged tell lines late by up to `marginMs`. */
  constructor(marginMs: number) {
    this.marginMs = marginMs;
  }

  /** Since when to ask again; empty where nothing came yet. */
  resume(): string {
    this.again = new Map();
    for (const { key } of this.recent) this.again.set(key, (this.again.get(key) ?? 0) + 1);
    return Number.isFinite(this.last) ? new Date(this.last - this.marginMs).toISOString() : '';
  }

  /** Whether a line comes for the first time. */
  isNew(time: string, key: string): boolean {
    const left = this.again.get(key) ?? 0;
    if (left > 0) {
      this.again.set(key, left - 1);
      return false;
    }
    const at = Date.parse(time);
    if (Number.isNaN(at)) return true;
    this.last = Math.max(this.last, at);
    this.recent.push({ at, key });
    // A millisecond more than is asked for: times are finer than the clock of this language.
    const kept = this.last - this.marginMs - 1;
    let old = Math.max(0, this.recent.length - RECENT_MAX);
    while (old < this.recent.length && this.recent[old]!.at < kept) old += 1;
    if (old > 0) this.recent.splice(0, old);
    return true;
  }
}

export interface Following {
  /** Opens the stream where the last one ended. */
  open: (signal: AbortSignal) => Promise<Response>;
  take: (lines: string[]) => void;
  /** It is open; or it ended, broke off with an error, or was refused. */
  state: (open: boolean, error: ApiError | undefined) => void;
  /** Codes after which it is not asked again. */
  final: number[];
}

/** Runs until `signal` is aborted, or until the API refuses for good. */
export async function follow(following: Following, signal: AbortSignal): Promise<void> {
  let pause = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    let error: ApiError | undefined;
    try {
      const { body } = await following.open(signal);
      if (!body) throw new ApiError({ message: 'the server sent no stream', code: 0 });
      following.state(true, undefined);
      await readLines(body, (lines) => {
        if (lines.length > 0) pause = FIRST_PAUSE_MS;
        following.take(lines);
      });
    } catch (caught) {
      error = asApiError(caught);
    }
    if (signal.aborted) return;
    following.state(false, error);
    if (error && following.final.includes(error.code)) return;
    await waited(pause * (0.5 + Math.random()), signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}
