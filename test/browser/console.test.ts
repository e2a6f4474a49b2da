// The console in a real browser, on a real cluster of processes.
//
//   SCREENSHOT=docs/console.png node --test test/browser/console.test.ts     makes the picture anew

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import type { Browser, Locator, Page } from 'playwright-core';
import { Cluster, kill, pause } from '../processes/cluster.ts';
import { launch, obstacle } from './browser.ts';

const WAIT = { timeout: 120_000 };
/** How long the page may take to show what happened; it asks once a second. */
const SEEN = { timeout: 20_000 };
const PAGE_BYTES_MAX = 64 * 1024;
const SCREENSHOT_BYTES_MAX = 300 * 1024;
const EVIL =
  '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>';

const textOf = async (place: Locator): Promise<string> => (await place.textContent()) ?? '';

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + SEEN.timeout;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${SEEN.timeout} ms: ${what}`);
    await pause(100);
  }
}

describe('the console', { skip: obstacle() ?? false }, () => {
  let cluster: Cluster;
  let browser: Browser;
  let page: Page;
  let url: string;
  /** What the page asked for, and what the browser complained of. */
  const asked: string[] = [];
  const complaints: string[] = [];

  before(async () => {
    cluster = await Cluster.start();
    await using client = cluster.connect();
    const { configuration } = await client.createJournal('orders');
    // Not from the head, which is going to be killed.
    url = urlOf(Number(configuration.serving[1]?.id.split('-')[1]));
    await client.createJournal('payments');
    const records = Array.from({ length: 60 }, (_, at) => ({
      key: `customer-${at % 7}`,
      data: `{"order":${at + 1},"total":"${(at * 3.5).toFixed(2)} EUR"}`,
    }));
    await client.journal('orders').append(records);
    await client.journal('payments').append([{ key: EVIL, data: EVIL }]);
    await client.journal('payments').append([new Uint8Array([0xff, 0xfe, 0, 1])]);
    browser = await launch();
    page = await browser.newPage({ viewport: { width: 1280, height: 1100 } });
    page.on('request', (request) => asked.push(request.url()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    await page.goto(url);
    await page.locator('#ready', { hasText: /^ready$/ }).waitFor(SEEN);
  });
  after(async () => {
    await browser?.close();
    await cluster?.close();
  });

  const urlOf = (replica: number): string => `${cluster.httpOf(`replica-${replica}`)}/console`;
  const journal = (name: string) => page.locator(`[data-journal="${name}"]`).first();
  /** The page is older than the cluster by up to a second, and either may change meanwhile. */
  const showsChain = (name: string): Promise<void> =>
    until(`the page shows the chain of ${name}`, async () => {
      const shown = await journal(name).locator('.member b').allTextContents();
      const { members = [] } =
        (await cluster.status()).journals.find((one) => one.name === name) ?? {};
      return shown.length > 0 && shown.join() === members.map(({ id }) => id).join();
    });

  test('`dev` says where it is, after the ready line', WAIT, () => {
    assert.match(cluster.said, new RegExp(`^console ${urlOf(1)}$`, 'm'));
  });

  test('zones and their processes', WAIT, async () => {
    assert.deepEqual(await page.locator('.zone h3').allTextContents(), ['a', 'b', 'c']);
    for (const name of ['replica', 'controller']) {
      for (const number of [1, 2, 3]) {
        const item = page.locator(`[data-process="${name}-${number}"]`);
        await until(`${name}-${number} is reachable`, async () => {
          return (await item.getAttribute('data-reachable')) === 'true';
        });
      }
    }
  });

  test('the chain of each journal in its order', WAIT, async () => {
    for (const { name } of (await cluster.status()).journals) {
      await showsChain(name);
      await until(`the page says what ${name} does`, async () =>
        /takes appends[\s\S]*head, zone[\s\S]*tail/.test(await textOf(journal(name))),
      );
    }
  });

  test('throughput while somebody appends', WAIT, async () => {
    await using client = cluster.connect();
    const end = performance.now() + 4_000;
    while (performance.now() < end) await client.journal('orders').append(['x'.repeat(100)]);
    await journal('orders')
      .locator('.mono', { hasText: /^[1-9][\d,]*\/s$/ })
      .waitFor(SEEN);
  });

  test('records page by page, from any position', WAIT, async () => {
    const rows = page.locator('#rows tr');
    const lsns = () => page.locator('#rows td:first-child').allTextContents();
    await page.selectOption('#journal', 'orders');
    await page.fill('#from', 'first');
    await page.click('#show');
    await page.locator('#rows tr[data-lsn="1"]').waitFor(SEEN);
    assert.equal(await rows.count(), 20);
    assert.match(await textOf(rows.first()), /customer-0[\s\S]*"order":1,/);
    await page.click('#later');
    await page.locator('#rows tr[data-lsn="21"]').waitFor(SEEN);
    assert.deepEqual(
      await lsns(),
      Array.from({ length: 20 }, (_, at) => String(at + 21)),
    );
    await page.click('#earlier');
    await page.locator('#rows tr[data-lsn="1"]').waitFor(SEEN);
    await page.fill('#from', '57');
    await page.click('#show');
    await page.locator('#rows tr[data-lsn="57"]').waitFor(SEEN);
    assert.equal((await lsns())[0], '57');
  });

  test('a wrong position is refused with what is allowed', WAIT, async () => {
    await page.fill('#from', 'yesterday');
    await page.click('#show');
    const said = page.locator('#records-said', { hasText: 'yesterday' });
    await said.waitFor(SEEN);
    assert.match(await textOf(said), /from is "yesterday", allowed is first, last, an LSN/);
    // The browser itself notes each answer that is a refusal.
    assert.ok(
      complaints.every((one) => /status of 400/.test(one)),
      complaints.join('\n'),
    );
    complaints.length = 0;
  });

  test('what a record holds stays text, and what is no text is shown in digits', WAIT, async () => {
    await page.selectOption('#journal', 'payments');
    await page.fill('#from', 'first');
    await page.click('#show');
    const first = page.locator('#rows tr[data-lsn="1"]');
    await first.waitFor(SEEN);
    assert.deepEqual(await first.locator('td').nth(2).allTextContents(), [EVIL]);
    assert.equal(await first.locator('pre').textContent(), EVIL);
    assert.equal(await page.locator('#rows img, #rows script').count(), 0);
    const second = page.locator('#rows tr[data-lsn="2"] pre');
    assert.equal(await second.textContent(), 'fffe0001 (hexadecimal)');
    assert.equal(await page.title(), 'Journal');
  });

  test('the picture of it', WAIT, async () => {
    await page.selectOption('#journal', 'orders');
    await page.fill('#from', 'first');
    await page.click('#show');
    await page.locator('#rows tr[data-lsn="1"]').waitFor(SEEN);
    const picture = await page.screenshot({ type: 'png' });
    assert.ok(picture.length < SCREENSHOT_BYTES_MAX, `it has ${picture.length} bytes`);
  });

  test('a head that is killed: the change is told, then all is whole again', WAIT, async () => {
    const before = (await cluster.status()).journals.find(({ name }) => name === 'orders');
    assert.ok(before);
    const [head] = before.members;
    assert.ok(head);
    kill(await cluster.pidOf(head.id), 'SIGKILL');
    const left = page.locator('#changes li[data-journal="orders"]', { hasText: `${head.id} left` });
    await left.first().waitFor({ timeout: 30_000 });
    assert.ok(Number(await left.first().getAttribute('data-epoch')) > before.epoch);
    await cluster.whole('orders');
    await showsChain('orders');
    const { SCREENSHOT: path } = process.env;
    if (path === undefined) return;
    // With a load, so that the picture shows one.
    await using client = cluster.connect();
    const end = performance.now() + 20_000;
    while (performance.now() < end) {
      await client.journal('orders').append([`{"order":${Math.round(performance.now())}}`]);
      await client.journal('payments').append(['{"paid":true}']);
    }
    writeFileSync(path, await page.screenshot({ type: 'png' }));
  });

  test('a member that lags is marked, with how far', WAIT, async () => {
    // No real member lags for long: the real answer, as it is when one of them does.
    const other = await browser.newPage();
    await other.route('**/console/data*', async (route) => {
      const answer = await (await route.fetch()).json();
      for (const { members } of answer.journals) {
        for (const [place, member] of members.entries()) {
          Object.assign(member, { synced: true, lag: place === 1 ? 5_000 : 0 });
        }
      }
      await route.fulfill({ json: answer });
    });
    await other.goto(url);
    const behind = other.locator('[data-journal="orders"] .member.behind');
    await behind.waitFor(SEEN);
    assert.match(await textOf(behind), /5,000 behind/);
    assert.equal(await other.locator('[data-journal="orders"] .member:not(.behind)').count(), 2);
    // It may be fetching: what comes of that is nobody's any more.
    await other.unrouteAll({ behavior: 'ignoreErrors' });
    await other.close();
  });

  test('it asks nobody else, runs nothing else, and is small', WAIT, async () => {
    const origin = new URL(url).origin;
    assert.deepEqual(
      asked.filter((one) => !one.startsWith(`${origin}/console`) && !one.startsWith('data:')),
      [],
    );
    assert.deepEqual(complaints, []);
    await assert.rejects(page.addScriptTag({ content: 'document.title = "owned"' }));
    assert.equal(await page.title(), 'Journal');
    complaints.length = 0;
    let bytes = 0;
    for (const path of ['', '/page.js']) bytes += (await (await fetch(url + path)).text()).length;
    assert.ok(bytes < PAGE_BYTES_MAX, `page and script have ${bytes} bytes`);
  });

  test('every replica serves it, and a dead one is told from a wrong cluster', WAIT, async () => {
    for (const replica of [1, 2, 3]) {
      const other = await browser.newPage();
      await other.goto(urlOf(replica));
      await other.locator('#ready', { hasText: /^ready$/ }).waitFor(SEEN);
      assert.match(await textOf(other.locator('#counts')), new RegExp(`replica-${replica}$`));
      await other.close();
    }
    await cluster.down();
    await page.locator('#trouble', { hasText: 'cannot reach its process' }).waitFor(SEEN);
    assert.equal(await textOf(page.locator('#ready')), 'not known');
  });
});
