// Who may only see one namespace sees that one, and is told why nothing else.

import { check, step } from '../browser.mjs';

export async function limited(tab, token) {
  const { page } = tab;
  await step('a token logs in who may only see one namespace', async () => {
    await tab.go('/');
    await page.getByLabel('With a token').fill('not a token');
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await page.getByRole('alert').getByText('The token is not valid').waitFor();
    await page.getByLabel('With a token').fill(token);
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    await page.waitForURL(/ns=shop/);
    await page.locator('.tile').filter({ hasText: 'Nodes' }).getByText('You may not see this').waitFor();
    await page.locator('.tile').filter({ hasText: 'Pods' }).getByText('running').waitFor();
    await tab.look('limited-overview');
  });
  await step('sees what is in it', async () => {
    await tab.go('/k/pods?ns=shop');
    await page.getByRole('row').filter({ hasText: 'busy' }).waitFor();
    const sections = page.getByRole('navigation', { name: 'Sections' });
    await sections.getByRole('link', { name: 'Secrets' }).waitFor({ state: 'detached' });
    await sections.getByRole('link', { name: 'Services' }).waitFor();
    for (const name of ['Nodes', 'Create', 'Widget']) check((await sections.getByRole('link', { name }).count()) === 0, `${name} is offered`);
    await tab.look('limited-pods');
    await tab.go('/k/deployments.apps/shop/talker?ns=shop');
    await page.locator('.pods a').first().waitFor();
    await page.getByRole('button', { name: 'Delete' }).waitFor({ state: 'detached' });
    for (const name of ['Scale', 'Restart', 'Pause']) check((await page.getByRole('button', { name }).count()) === 0, `${name} is offered`);
    await tab.look('limited-deployment');
    await tab.go('/k/pods/shop/busy/logs?ns=shop');
    await page.getByRole('log').waitFor();
    check((await page.getByText('You may not').count()) === 0, 'logs are his');
  });
  await step('and nothing else', async () => {
    for (const path of ['/k/pods?ns=kube-system', '/k/secrets?ns=shop', '/nodes?ns=shop']) {
      await tab.go(path);
      await page.getByRole('main').getByText('You may not see this').first().waitFor();
      check((await page.getByRole('main').getByRole('row').count()) === 0, `rows on ${path}`);
    }
    await tab.look('limited-refused');
  });
  await step('is told why he may not', async () => {
    await tab.go('/access?ns=shop');
    await page.getByLabel('Verb').selectOption('delete');
    await page.getByRole('button', { name: 'Can I?' }).click();
    await page.getByText('No', { exact: true }).waitFor();
    await page.getByText('No role that you have in shop allows it.').waitFor();
    await page.getByLabel('Verb').selectOption('list');
    await page.getByRole('button', { name: 'Can I?' }).click();
    await page.getByText('Yes', { exact: true }).waitFor();
    await tab.look('limited-access');
  });
}
