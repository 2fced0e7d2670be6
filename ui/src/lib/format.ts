// Numbers and times as people read them.

const UNITS: [string, number][] = [
  ['y', 365 * 86400],
  ['d', 86400],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
];

/** `3d4h`, `5m`, `12s`: at most two units, the second only where it says something. */
export function age(from: string | undefined, now: number): string {
  if (!from) return '–';
  let seconds = Math.max(0, Math.floor((now - Date.parse(from)) / 1000));
  const first = UNITS.findIndex(([, size]) => seconds >= size);
  if (first < 0) return '0s';
  const [name, size] = UNITS[first]!;
  const count = Math.floor(seconds / size);
  seconds -= count * size;
  const next = UNITS[first + 1];
  const second = next && count < 10 ? Math.floor(seconds / next[1]) : 0;
  return second > 0 ? `${count}${name}${second}${next![0]}` : `${count}${name}`;
}

const SUFFIXES: Record<string, number> = {
  n: 1e-9, u: 1e-6, m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60,
};

/** A Kubernetes quantity as a number; what is none is 0. */
export function quantity(text: string | number | undefined): number {
  if (text === undefined) return 0;
  if (typeof text === 'number') return text;
  const match = /^([+-]?[\d.]+(?:[eE][+-]?\d+)?)([a-zA-Z]*)$/.exec(text.trim());
  return match ? Number(match[1]) * (SUFFIXES[match[2]!] ?? 0) : 0;
}

/** As `quantity`, of what a node may not have said. */
export function known(text: string | undefined): number | undefined {
  return text === undefined ? undefined : quantity(text);
}

/** Steps of an axis of bytes. */
export const BYTE_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let index = 0;
  while (value >= 1024 && index < units.length - 1) {
    value /= 1024;
    index += 1;
  }
  return `${value.toLocaleString('en', { maximumFractionDigits: value < 10 && index > 0 ? 1 : 0 })} ${units[index]}`;
}

export function cores(value: number): string {
  if (value < 0.0005 && value > 0) return '<1m';
  if (value < 1 && value > 0) return `${Math.round(value * 1000)}m`;
  return value.toLocaleString('en', { maximumFractionDigits: 2 });
}

export function percent(part: number, whole: number): number {
  return whole > 0 ? Math.min(100, Math.max(0, (part / whole) * 100)) : 0;
}
