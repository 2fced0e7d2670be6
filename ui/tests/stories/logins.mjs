// Who comes in, how, and who does not.

import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { Tab, check, person, step, story } from '../browser.mjs';

const overview = (page) => page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
const loginPage = (page) => page.getByRole('heading', { name: 'Log in to the cluster' }).waitFor();

export async function byLink(tab, { browser, origin, link, second }) {
  const { page } = tab;
  await step('a link logs in', async () => {
    await page.goto(link);
    await overview(page);
    check(!page.url().includes('code='), 'the code leaves the address bar');
  });
  await step('a link asks who is logged in already', async () => {
    await page.goto(second);
    await page.getByRole('dialog', { name: 'Log in by a link?' }).waitFor();
    await tab.look('link-offer');
    await page.getByRole('button', { name: 'Stay logged in' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await overview(page);
  });
  await step('until then it is good, and then no longer', async () => {
    const context = await person(browser);
    const fresh = await Tab.open(context, origin);
    await fresh.page.goto(second);
    await overview(fresh.page);
    await context.close();
    const late = await person(browser);
    const other = await Tab.open(late, origin);
    await other.page.goto(link);
    await other.page.getByRole('alert').getByText('The link was used already').waitFor();
    await other.look('login');
    tab.complaints.push(...other.complaints);
    await late.close();
  });
}

/** With the certificate of a kubeconfig, as a browser would show one; without it there is no way in. */
export async function byCertificate(browser, origin, kubeconfig) {
  const { user } = parse(readFileSync(kubeconfig, 'utf8')).users[0];
  const [cert, key] = [user['client-certificate-data'], user['client-key-data']].map((data) => Buffer.from(data, 'base64'));
  const without = await person(browser);
  const complaints = await story('no certificate', without, origin, (tab) =>
    step('no certificate, no login', async () => {
      await tab.go('/');
      await tab.page.getByRole('button', { name: 'Use the certificate' }).click();
      await tab.page.getByRole('alert').getByText('no valid certificate').waitFor();
    }),
  );
  await without.close();
  const context = await person(browser, { clientCertificates: [{ origin, cert, key }] });
  complaints.push(
    ...(await story('certificate', context, origin, (tab) =>
      step('a client certificate logs in, and requests go through', async () => {
        await tab.go('/k/pods?ns=shop');
        await loginPage(tab.page);
        await tab.page.getByRole('button', { name: 'Use the certificate' }).click();
        await tab.page.getByRole('row').filter({ hasText: 'busy' }).waitFor();
        await tab.page.locator('.user').getByText(/admin/).waitFor();
      }),
    )),
  );
  await context.close();
  return complaints;
}

/** What got into a page must not run there: the browser complains, as it should. */
export async function refusesInline(browser, origin) {
  const context = await person(browser);
  const page = await context.newPage();
  await step('the policy refuses scripts and styles that are not the page’s', async () => {
    const answer = await page.goto(`${origin}/dashboard/`);
    const policy = answer.headers()['content-security-policy'];
    check(/default-src 'none'/.test(policy) && !/unsafe/.test(policy), policy);
    await loginPage(page);
    const ran = await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'window.ran = true';
      document.body.append(script);
      document.body.insertAdjacentHTML('beforeend', '<img src="x" onerror="window.ran = true">');
      const style = document.createElement('style');
      style.textContent = 'body { letter-spacing: 33px }';
      document.head.append(style);
      return [window.ran ?? false, getComputedStyle(document.body).letterSpacing];
    });
    check(ran[0] === false && ran[1] !== '33px', `ran: ${ran}`);
  });
  await context.close();
  return [];
}

export async function otherTabs(tab, context) {
  const { page } = tab;
  await step('logging out in one tab ends the others', async () => {
    await tab.go('/');
    await overview(page);
    const other = await Tab.open(context, tab.origin);
    await other.go('/workloads');
    await other.page.getByRole('heading', { name: 'Workloads' }).waitFor();
    await other.page.getByRole('button', { name: 'Log out' }).click();
    await loginPage(other.page);
    await loginPage(page);
    tab.complaints.push(...other.complaints);
    await other.page.close();
  });
}

/** The way to a page survives the login, what the user does is told to the server, and he leaves for good. */
export async function leaves(tab, token) {
  const { page } = tab;
  let uses = 0;
  page.on('request', (request) => (uses += request.url().endsWith('/dashboard/session/use') ? 1 : 0));
  await step('a deep link leads there behind the login', async () => {
    await tab.go('/k/pods/shop/busy/events?ns=shop');
    await page.getByLabel('With a token').fill(token);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'busy', exact: true }).waitFor();
    check(new URL(page.url()).pathname.endsWith('/k/pods/shop/busy/events'), page.url());
  });
  await step('a session is what its cookie and key are, not what is kept elsewhere', async () => {
    await page.evaluate(() => localStorage.setItem('sampan.key', 'wrong'));
    await tab.go('/k/pods?ns=shop');
    await loginPage(page);
    await page.getByLabel('With a token').fill(token);
    await page.keyboard.press('Enter');
    await page.getByRole('row').filter({ hasText: 'busy' }).waitFor();
  });
  await step('logging out ends the session', async () => {
    const key = await page.evaluate(() => localStorage.getItem('sampan.key'));
    await page.getByRole('button', { name: 'Log out' }).click();
    await loginPage(page);
    const code = await page.evaluate(async (key) => (await fetch('/dashboard/session', { headers: { 'x-sampan-key': key } })).status, key);
    check(code === 401, `the key that it had is answered ${code}`);
  });
  // A login is a use itself: the next one is told a minute later, or never within this story.
  check(uses <= 1, `${uses} requests told of use within a minute`);
}
