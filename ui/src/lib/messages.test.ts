import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { en } from '../messages/en';
import { ja } from '../messages/ja';
import { zh } from '../messages/zh';

const LANGUAGES = { en, ja, zh } as Record<string, Record<string, string>>;
const KEYS = Object.keys(en).sort();
const holes = (text: string) => [...text.matchAll(/\{\w+\}/g)].map((match) => match[0]).sort();

test.each(Object.entries(LANGUAGES))('%s has every word, with the same holes', (_, messages) => {
  expect(Object.keys(messages).sort()).toEqual(KEYS);
  for (const key of KEYS) {
    expect(messages[key], key).not.toBe('');
    expect(holes(messages[key]!), key).toEqual(holes(LANGUAGES['en']![key]!));
  }
});

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return sources(path);
    return /\.(svelte|ts)$/.test(name) && !/messages|\.test\.ts/.test(path) ? [readFileSync(path, 'utf8')] : [];
  });
}

test('no word is there that nobody says', () => {
  const all = sources(join(import.meta.dirname, '..')).join('\n');
  expect(KEYS.filter((key) => !all.includes(`'${key}'`))).toEqual([]);
});
