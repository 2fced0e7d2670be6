// The history that the cluster keeps of itself, asked in Prometheus' query language; users see what RBAC lets them.

import { getJson } from '../api/http';

export interface Series {
  label: string;
  /** One per time of the answer; `null` where there is none. */
  values: (number | null)[];
}

export interface Answer {
  /** Seconds since the epoch. */
  times: number[];
  series: Series[];
}

interface Matrix {
  data: { result: { metric: Record<string, string>; values: [number, string][] }[] };
}

/** What tells series apart: labels without the metric's own name. */
export function labelOf(metric: Record<string, string>): string {
  const { __name__: name = '', ...labels } = metric;
  const parts = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return parts.length > 0 ? parts.join(' ') : name || 'value';
}

/** Puts series of different times on one axis of times. */
export function align(matrix: Matrix): Answer {
  const { result } = matrix.data;
  const times = [...new Set(result.flatMap((one) => one.values.map(([time]) => time)))].sort((a, b) => a - b);
  const series = result.map(({ metric, values }) => {
    const known = new Map(values.map(([time, value]) => [time, Number(value)]));
    return { label: labelOf(metric), values: times.map((time) => known.get(time) ?? null) };
  });
  return { times, series };
}

/** A query's values from `seconds` ago until now. */
export async function queryRange(query: string, seconds: number, signal?: AbortSignal): Promise<Answer> {
  const now = Math.floor(Date.now() / 1000);
  // About as many points as a chart has pixels to tell them apart; never finer than they are taken.
  const step = Math.max(10, Math.round(seconds / 240));
  const asked = new URLSearchParams({ query, start: String(now - seconds), end: String(now), step: String(step) });
  return align(await getJson<Matrix>(`/insight/prometheus/api/v1/query_range?${asked}`, { signal }));
}

/** As a string of the query language. */
export function quoted(text: string): string {
  return JSON.stringify(text);
}
