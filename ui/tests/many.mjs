// 5,000 pods, a made-up server: how long until they are shown, whether scrolling through them stays smooth, and that all
// pages share one watch. Also by hand: `node tests/many.mjs`, after `npm run build`.

import { readFileSync, existsSync } from 'node:fs';
import { SHOTS, check, launch } from './browser.mjs';

const PODS = 5000;
/** Of a frame in the middle of all, on a machine that has much else to do; by itself it is a tenth. */
const FRAME_MS_MAX = 250;
const ORIGIN = 'https://dashboard.test';
const TYPES = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };
const dist = new URL('../dist/', import.meta.url);

const columns = ['Name', 'Ready', 'Status', 'Restarts', 'Age', 'IP', 'Node'].map((name, index) => ({ name, type: 'string', priority: index > 4 ? 1 : 0 }));
const event = (type, index) => {
  const name = `web-${String(index).padStart(5, '0')}-x7k2p`;
  const metadata = { name, namespace: `team-${index % 40}`, uid: `u${index}`, resourceVersion: String(index + 1), creationTimestamp: '2026-01-01T00:00:00Z', labels: { app: 'web' } };
  const row = { cells: [name, '1/1', index % 50 ? 'Running' : 'CrashLoopBackOff', '0', '5m', '10.42.0.1', `n${index % 20}`], object: { metadata } };
  return `${JSON.stringify({ type, object: { kind: 'Table', columnDefinitions: index ? undefined : columns, rows: [row] } })}\n`;
};
const END = `${JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '9999', annotations: { 'k8s.io/initial-events-end': 'true' } } } })}\n`;
const pods = Array.from({ length: PODS }, (_, index) => event('ADDED', index)).join('') + END;
const groups = { items: [{ metadata: { name: '' }, versions: [{ version: 'v1', resources: ['pods', 'namespaces'].map((resource) => ({ resource, responseKind: { kind: resource === 'pods' ? 'Pod' : 'Namespace' }, scope: resource === 'pods' ? 'Namespaced' : 'Cluster', verbs: ['get', 'list', 'watch'] })) }] }] };

let watches = 0;
function answer(url) {
  const path = url.pathname.replace('/dashboard', '');
  if (path === '/session') return { json: { user: 'anna', groups: [], namespace: '', key: 'k' }, status: 201 };
  if (path === '/server/api') return { json: groups };
  if (path === '/server/apis') return { json: { items: [] } };
  if (path.startsWith('/server/')) {
    const begins = url.searchParams.get('sendInitialEvents');
    // This server ends watches at once; those that go on where they were are the same ones.
    if (begins && path.endsWith('/pods')) watches += 1;
    return { body: begins ? (path.endsWith('/pods') ? pods : END) : '', contentType: 'application/json' };
  }
  const file = new URL(`.${path}`, dist);
  const known = /\.\w+$/.test(path) && existsSync(file);
  return known ? { body: readFileSync(file), contentType: TYPES[path.split('.').pop()] } : { body: readFileSync(new URL('index.html', dist)), contentType: 'text/html' };
}

const browser = await launch();
try {
  await look(await browser.newPage({ viewport: { width: 1360, height: 860 } }));
} finally {
  await browser.close();
}

async function look(page) {
  page.setDefaultTimeout(90_000);
  await page.route('**/*', (route) => route.fulfill(answer(new URL(route.request().url()))));
  await page.goto(`${ORIGIN}/dashboard/k/pods#code=abc`);
  await page.getByText(PODS.toLocaleString('en')).first().waitFor();
  await page.getByRole('row').nth(5).waitFor();
  const shown = await page.evaluate(() => performance.now());
  const drawn = await page.getByRole('row').count();
  const frames = await page.evaluate(async () => {
    const grid = document.querySelector('[role=table]');
    const times = [];
    let before = performance.now();
    for (let index = 0; index < 120; index += 1) {
      grid.scrollTop += 1000;
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      times.push(now - before);
      before = now;
    }
    return times.sort((a, b) => a - b);
  });
  const last = await page.evaluate(() => {
    const grid = document.querySelector('[role=table]');
    grid.scrollTop = grid.scrollHeight;
    return grid.scrollHeight;
  });
  check(last > PODS * 30, `all are below each other: ${last} px`);
  await page.getByRole('row').filter({ hasText: `web-0${PODS - 1}` }).waitFor();
  await page.screenshot({ path: `${SHOTS}/many.png` });
  const memory = await page.evaluate(() => performance.memory?.usedJSHeapSize ?? 0);
  const typing = await page.evaluate(async () => {
    const box = document.querySelector('input[type=search]');
    const begun = performance.now();
    box.value = 'web-04';
    box.dispatchEvent(new Event('input', { bubbles: true }));
    await new Promise(requestAnimationFrame);
    return performance.now() - begun;
  });
  await page.getByText('1,000', { exact: true }).waitFor();
  const middle = frames[Math.floor(frames.length / 2)];
  const late = frames[Math.floor(frames.length * 0.95)];
  console.log(`${PODS} pods: shown ${Math.round(shown)} ms after the page began; ${drawn} rows drawn; a frame of scrolling ${middle.toFixed(1)} ms, 95% within ${late.toFixed(1)} ms; filtered in ${typing.toFixed(0)} ms; heap ${(memory / 2 ** 20).toFixed(0)} MiB`);
  check(drawn < 80, `only rows in sight are drawn, not ${drawn}`);
  check(middle < FRAME_MS_MAX, `a frame takes ${middle} ms`);
  const before = watches;
  for (const name of ['Overview', 'Workloads', 'Pods']) {
    await page.getByRole('navigation', { name: 'Sections' }).getByRole('link', { name, exact: true }).click();
    await page.getByRole('heading', { name, level: 1 }).waitFor();
  }
  check(before === 1 && watches === 1, `one watch of pods serves all pages, not ${watches}`);
}
