// One pod: its containers, its terminal, and a chart that shows what is done there.

import { check, step } from '../browser.mjs';

/** Thousandths of a core that the page says are used, as soon as it knows and they are as many. */
const used = async (tab, least) => {
  const found = await tab.until((least) => {
    const text = document.querySelector('[data-testid=use-now]')?.textContent ?? '';
    const milli = ['0', '<1m'].includes(text) ? 0 : /^\d+m$/.test(text) ? Number.parseInt(text, 10) : undefined;
    return milli !== undefined && milli >= least && { milli };
  }, least);
  return (await found.jsonValue()).milli;
};

export async function busyPod(tab) {
  const { page } = tab;
  await step('a pod', async () => {
    await tab.go('/k/pods/shop/busy');
    await page.getByRole('heading', { name: 'Containers' }).waitFor();
    await page.locator('li .badge').getByText('Running', { exact: true }).waitFor();
    await page.getByText('user-center:v1').first().waitFor();
    await page.getByText('cpu 200m').first().waitFor();
  });
  const drawn = () => page.evaluate(() => document.querySelector('.uplot canvas')?.toDataURL());
  let idle;
  await step('it does nothing yet, says its chart', async () => {
    const now = await used(tab, 0);
    check(now < 40, `${now}m of a pod that sleeps`);
    await page.locator('.uplot canvas').first().waitFor();
    idle = await drawn();
    await tab.look('pod');
  });
  await step('its events', async () => {
    await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Events' }).click();
    await page.locator('.reason').getByText('Started', { exact: true }).waitFor();
    await tab.look('pod-events');
  });
  await step('a terminal runs a command', async () => {
    await page.getByRole('link', { name: 'Terminal' }).click();
    await page.locator('.xterm-helper-textarea').waitFor({ state: 'attached' });
    await page.locator('.xterm-rows').getByText(/[#$]/).first().waitFor();
    await page.locator('.xterm-helper-textarea').focus();
    await page.keyboard.type('echo sum=$((40+2)); touch /tmp/go\n');
    await page.locator('.xterm-rows').getByText('sum=42').waitFor();
    await tab.look('terminal');
  });
  await step('and the chart moves under the load that it began', async () => {
    await page.getByRole('link', { name: 'Summary' }).click();
    // A busy machine gives less than the limit of 200m.
    const now = await used(tab, 60);
    check(now < 260, `${now}m of the limit of 200m`);
    check((await drawn()) !== idle, 'the drawing is another');
    await tab.look('chart');
  });
}
