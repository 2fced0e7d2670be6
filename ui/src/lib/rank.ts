// Which entries a few typed letters mean, the likeliest first.

/** Higher is likelier; 0 is no match. Letters must come in order; whole beginnings and words count most. */
export function score(text: string, typed: string): number {
  const low = text.toLowerCase();
  const at = low.indexOf(typed);
  if (at === 0) return 100 - Math.min(50, text.length - typed.length);
  if (at > 0) return (/[\s\-/._]/.test(low[at - 1]!) ? 45 : 30) - Math.min(20, at);
  let from = 0;
  for (const letter of typed) {
    from = low.indexOf(letter, from) + 1;
    if (from === 0) return 0;
  }
  return 5;
}

export function rank<T>(entries: T[], typed: string, label: (entry: T) => string, hint: (entry: T) => string): T[] {
  const words = typed.toLowerCase().trim().split(/\s+/).filter(Boolean);
  if (words.length === 0) return entries;
  const scored = entries.map((entry) => {
    let sum = 0;
    for (const word of words) {
      const hinted = hint(entry).toLowerCase().includes(word) ? 8 : 0;
      const own = Math.max(score(label(entry), word), hinted);
      if (own === 0) return { entry, sum: 0 };
      sum += own;
    }
    return { entry, sum };
  });
  return scored
    .filter((one) => one.sum > 0)
    .sort((a, b) => b.sum - a.sum)
    .map((one) => one.entry);
}
