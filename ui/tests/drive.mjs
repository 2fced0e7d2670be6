// Drives the dashboard of a real cluster as people would; the cluster tests call it.
// SAMPAN_UI_LINK, SAMPAN_UI_SECOND_LINK: an administrator's login links; SAMPAN_UI_KUBECONFIG: with his certificate;
// SAMPAN_UI_LIMITED_TOKEN: of who may only see the namespace `shop`; SAMPAN_UI_IMAGE: an image of the cluster with a shell.
// What lies in the cluster is in crates/sampan/tests/cluster/dashboard/shop.yaml.

import { launch, person, story } from './browser.mjs';
import { customKinds } from './stories/custom.mjs';
import { byCertificate, byLink, leaves, otherTabs, refusesInline } from './stories/logins.mjs';
import { limited } from './stories/limited.mjs';
import { pages } from './stories/pages.mjs';
import { busyPod } from './stories/pod.mjs';
import { deployments, rollout } from './stories/workloads.mjs';

const { SAMPAN_UI_LINK: link, SAMPAN_UI_SECOND_LINK: second, SAMPAN_UI_KUBECONFIG: kubeconfig } = process.env;
const { SAMPAN_UI_LIMITED_TOKEN: token, SAMPAN_UI_IMAGE: image } = process.env;
const origin = new URL(link).origin;
const browser = await launch();
const complaints = [];

/** All are told to their end, so that one that fails leaves pictures of the others. */
async function together(...stories) {
  const ended = await Promise.allSettled(stories);
  for (const one of ended) if (one.status === 'fulfilled') complaints.push(...one.value);
  const failed = ended.filter((one) => one.status === 'rejected');
  if (failed.length > 0) throw new Error(failed.map((one) => one.reason.message).join('\n'));
}

try {
  const anna = await person(browser);
  await together(story('link', anna, origin, (tab) => byLink(tab, { browser, origin, link, second })));
  const clerk = await person(browser);
  await together(
    story('deployments', anna, origin, (tab) => deployments(tab, image)),
    story('rollout', anna, origin, rollout),
    story('pod', anna, origin, busyPod),
    story('limited', clerk, origin, (tab) => limited(tab, token)),
  );
  await together(
    story('custom', anna, origin, customKinds),
    byCertificate(browser, origin, kubeconfig),
    refusesInline(browser, origin),
  );
  await together(story('pages', anna, origin, pages));
  await together(story('tabs', anna, origin, (tab) => otherTabs(tab, anna)));
  await together(story('leaving', await person(browser), origin, (tab) => leaves(tab, token)));
} catch (error) {
  console.error(`FAILED ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
for (const complaint of complaints) console.error(complaint);
if (complaints.length > 0) process.exitCode = 1;
