// A browser on the dashboard, and what every page of it must keep: no word in the console, no request to elsewhere, no
// violation of its policy or of WCAG AA, nothing wider than the window.

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const ARGUMENTS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
];
/** Of a machine that has much else to do. */
const PATIENCE_MS = 90_000;

export const SHOTS = process.env.SAMPAN_UI_SHOTS ?? 'shots';
mkdirSync(SHOTS, { recursive: true });

export function launch() {
  // Pages whose files are replaced have no address of their own, and then may open no WebSocket to a private one.
  const own = process.env.SAMPAN_UI_DIST ? ['--disable-features=LocalNetworkAccessChecks'] : [];
  return chromium.launch({ executablePath: process.env.SAMPAN_UI_BROWSER ?? '/usr/bin/chromium', args: [...ARGUMENTS, ...own] });
}

/** Somebody's browser: what its tabs share. */
export async function person(browser, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1360, height: 860 }, locale: 'en-US', ...options });
  if (process.env.SAMPAN_UI_DIST) await ownFiles(context, process.env.SAMPAN_UI_DIST);
  return context;
}

/** To work on the UI: its files come from a folder in place of the server's, under the server's policy. */
async function ownFiles(context, dist) {
  await context.route(/\/dashboard\/(?!server\/|session|link)/, async (route) => {
    const { pathname } = new URL(route.request().url());
    const file = `${dist}/${pathname.slice('/dashboard/'.length)}`;
    if (/\.\w+$/.test(pathname) && existsSync(file)) return route.fulfill({ path: file });
    const response = await route.fetch().catch((error) => {
      // The page was closed before it had its icon.
      if (!/disposed|closed/.test(error.message)) throw error;
    });
    if (!response) return undefined;
    const nonce = /'nonce-([^']+)'/.exec(response.headers()['content-security-policy'])?.[1];
    if (!nonce) return route.fulfill({ response });
    return route.fulfill({ response, body: readFileSync(`${dist}/index.html`, 'utf8').replace('__NONCE__', nonce) });
  });
}

export class Tab {
  constructor(page, origin) {
    this.page = page;
    this.origin = origin;
    this.complaints = [];
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('console', (message) => {
      // A refusal that the page shows is no fault of it.
      const refused = /Failed to load resource: the server responded with a status of (400|401|403|404|409|422)/.test(message.text());
      if (message.type() === 'error' && !refused) this.complaints.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.complaints.push(`error: ${error.message}`));
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.origin !== origin && !['data:', 'blob:'].includes(url.protocol)) this.complaints.push(`a request to ${url}`);
    });
  }

  static async open(context, origin) {
    return new Tab(await context.newPage(), origin);
  }

  go(path) {
    return this.page.goto(`${this.origin}/dashboard${path}`);
  }

  /** Waits until `test`, which runs in the page with `given`, says so. */
  until(test, given) {
    return this.page.waitForFunction(test, given);
  }

  /** A picture, and what is wrong in it. */
  async look(name) {
    const { page } = this;
    await page.waitForLoadState('load');
    await page.screenshot({ path: `${SHOTS}/${name}.png`, animations: 'disabled' });
    const wide = await page.evaluate(() => [document.documentElement, document.querySelector('main')].filter((one) => one && one.scrollWidth > one.clientWidth + 1).map((one) => `${one.localName} ${one.scrollWidth} in ${one.clientWidth}`));
    if (wide.length > 0) this.complaints.push(`${name}: too wide: ${wide.join(', ')}`);
    await page.evaluate(AXE);
    const found = await page.evaluate(() =>
      axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations'] }),
    );
    if (found.passes.length === 0) this.complaints.push(`${name}: axe saw nothing`);
    for (const violation of found.violations) {
      const where = violation.nodes.slice(0, 3).map((node) => `${node.target.join(' ')} (${node.any[0]?.message ?? node.failureSummary ?? ''})`);
      this.complaints.push(`${name}: axe: ${violation.id}: ${where.join('; ')}`);
    }
  }
}

/** What one person does, in a tab of its own. If it fails there is a picture of that. */
export async function story(name, context, origin, tell) {
  const tab = await Tab.open(context, origin);
  try {
    await tell(tab);
  } catch (error) {
    await tab.page.screenshot({ path: `${SHOTS}/FAILED-${name}.png` });
    throw new Error(`${name}: ${error.message}\n${tab.complaints.join('\n')}`, { cause: error });
  }
  await tab.page.close();
  return tab.complaints.map((complaint) => `${name}: ${complaint}`);
}

let steps = 0;
/** A step with a name, so that a failure says what was being done. */
export async function step(name, work) {
  const begun = Date.now();
  try {
    const result = await work();
    steps += 1;
    console.log(`ok ${steps} ${name} (${Date.now() - begun} ms)`);
    return result;
  } catch (error) {
    throw new Error(`${name}: ${error.message}`, { cause: error });
  }
}

export function check(condition, what) {
  if (!condition) throw new Error(`not so: ${what}`);
}
