// Three machines, one of them with two workers, and one Redis: a version serves on all of them or on none, and who was
// away catches up.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePorts } from '../lib/ports.ts'
import { MAIN, runSluice, SluiceProcess, startSluice } from '../lib/proxy-process.ts'
import { RedisServer } from '../lib/redis.ts'
import { Application, http } from './example.ts'

const EXAMPLE = fileURLToPath(new URL('../../../examples/fleet-push/', import.meta.url))
const VERSIONS = join(EXAMPLE, 'versions')
const KEY = randomBytes(32).toString('hex')
const users = Array.from({ length: 200 }, (_, i) => `user-${i}`)

interface Machine {
  sluice: SluiceProcess
  readonly port: number
  readonly admin: number
}

const redis = await RedisServer.start()
const chat = [
  await Application.start((_, response) => response.end('a')),
  await Application.start((_, response) => response.end('b')),
]
const machines: Machine[] = []

test.before(async () => {
  for (let i = 0; i < 3; i++) machines.push(await startMachine(i === 1 ? 'worker_processes 2;\n' : ''))
  await all((machine) => joined(machine, 3))
})

test.after(async () => {
  await all(({ sluice }) => sluice.stop())
  for (const application of chat) await application.stop()
  await redis.stop()
})

/** The example as it is, with ports of its own. @param main directives that this machine has besides */
async function startMachine(main: string): Promise<Machine> {
  const [port, admin] = await freePorts(2)
  const ports = new Map([
    ['6379', redis.port],
    ['9145', admin],
    ['9090', port],
    ['9201', chat[0]!.port],
    ['9202', chat[1]!.port],
  ])
  const written = readFileSync(join(EXAMPLE, 'sluice.conf'), 'latin1')
  const config =
    main + written.replace(/127\.0\.0\.1:(\d+)/g, (_, port: string) => `127.0.0.1:${ports.get(port)}`)
  const script = readFileSync(join(EXAMPLE, 'scripts/balancer.js'), 'latin1')
  const sluice = await startSluice(config, { 'scripts/balancer.js': script, 'fleet.key': KEY })
  return { sluice, port: port!, admin: admin! }
}

/** The same machine again: its folder is as it has left it. */
async function restart(machine: Machine): Promise<void> {
  const { folder } = machine.sluice
  const pid = join(folder, 'sluice.pid')
  rmSync(pid, { force: true })
  const flags = ['-p', `${folder}/`, '-c', 'sluice.conf', '-e', 'error.log']
  const globals = 'daemon off; pid sluice.pid; error_log error.log info;'
  const child = spawn(process.execPath, [MAIN, ...flags, '-g', globals], { cwd: folder, stdio: 'pipe' })
  machine.sluice = new SluiceProcess(child, folder)
  for (let tries = 0; !existsSync(pid); tries++) {
    assert.ok(tries < 1000, machine.sluice.errorLog())
    await new Promise((next) => setTimeout(next, 10))
  }
}

function all<T>(work: (machine: Machine) => Promise<T>): Promise<T[]> {
  return Promise.all(machines.map(work))
}

/** A machine serves before it has reached Redis. */
async function joined({ admin }: Machine, count: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    const { machines: known = [], connected } = JSON.parse((await http(admin, '/api/v1/fleet')).body)
    if (connected && known.length === count) return
    assert.ok(tries < 500, 'the machines do not find each other')
    await new Promise((next) => setTimeout(next, 20))
  }
}

/** Asks one of the machines, as somebody at its terminal does. */
function sluice(at: number, ...args: string[]) {
  return runSluice(['scripts', ...args, '--author', 'ann'], machines[at]!.sluice.folder)
}

async function routing({ port }: Machine, query = 'userId=7'): Promise<unknown> {
  return (await http(port, `/?${query}`)).headers['x-routing']
}

const everywhere = (name: string) => [name, name, name]

test('a version is pushed to one machine, and serves on all', async () => {
  assert.equal(await all((machine) => routing(machine)), everywhere('least busy'))
  const { code, stdout, stderr } = await sluice(
    0,
    'push',
    join(VERSIONS, 'by-user.js'),
    'balancer.js',
    '--wait',
  )
  assert.equal([code, stderr], [0, ''])
  assert.match(stdout, /^push balancer\.js [0-9a-f]{16} by ann\n/)
  assert.is(stdout.match(/ {2}serving {2}generation 2 after [\d.]+ ms\n/g)?.length, 3)
  assert.match(stdout, /\nbalancer\.js is version [0-9a-f]{16} on 3 of 3 machines\n$/)
  assert.equal(await all((machine) => routing(machine)), everywhere('by user'))
  const text = readFileSync(join(VERSIONS, 'by-user.js'), 'utf8')
  for (const { sluice } of machines)
    assert.is(readFileSync(join(sluice.folder, 'scripts/balancer.js'), 'utf8'), text)
})

test('a version that cannot be loaded is refused by every machine, with the place, and changes nothing', async () => {
  const { code, stdout, stderr } = await sluice(1, 'push', join(VERSIONS, 'broken.js'), 'balancer.js')
  assert.equal([code, stdout], [1, ''])
  const places = [
    ...stderr.matchAll(/^ {2}\S+: (.+):(\d+):(\d+): Error: this version wants lobby=NAME/gm),
  ].map(([, file, line]) => [file, line])
  const files = machines.map((machine) => [join(machine.sluice.folder, 'scripts/balancer.js'), '4'])
  assert.equal(places.sort(), files.sort())
  assert.equal(await all((machine) => routing(machine)), everywhere('by user'))
})

test('a canary serves the same fifth of the users on every machine', async () => {
  const canary = ['--canary', '20%', '--key', '$arg_userId']
  const { code, stderr } = await sluice(
    2,
    'push',
    join(VERSIONS, 'by-room.js'),
    'balancer.js',
    '--wait',
    ...canary,
  )
  assert.equal([code, stderr], [0, ''])
  const chosen = await all(async (machine) => {
    const found: string[] = []
    for (const user of users) if ((await routing(machine, `userId=${user}`)) === 'by room') found.push(user)
    return found
  })
  assert.equal(chosen[1], chosen[0])
  assert.equal(chosen[2], chosen[0])
  assert.ok(chosen[0]!.length > 20 && chosen[0]!.length < 60, `${chosen[0]!.length} of 200`)
})

test('the canary is promoted, and serves everybody', async () => {
  const { code, stderr } = await sluice(0, 'promote', 'balancer.js', '--wait')
  assert.equal([code, stderr], [0, ''])
  for (const user of users.slice(0, 20))
    assert.equal(await all((machine) => routing(machine, `userId=${user}`)), everywhere('by room'))
})

test('a machine that was stopped catches up when it is back', async () => {
  await machines[2]!.sluice.stop()
  const { code, stdout } = await sluice(0, 'push', join(VERSIONS, 'by-user.js'), 'balancer.js', '--wait')
  assert.is(code, 0)
  assert.match(stdout, ' on 2 of 2 machines')
  await restart(machines[2]!)
  for (let tries = 0; (await routing(machines[2]!)) !== 'by user'; tries++) {
    assert.ok(tries < 500, 'it does not catch up')
    await new Promise((next) => setTimeout(next, 20))
  }
  assert.equal(await all((machine) => routing(machine)), everywhere('by user'))
})

test('all go back to the version before', async () => {
  await joined(machines[2]!, 3)
  const { code, stderr } = await sluice(2, 'rollback', 'balancer.js', '--wait')
  assert.equal([code, stderr], [0, ''])
  assert.equal(await all((machine) => routing(machine)), everywhere('by room'))
  const { stdout } = await runSluice(['scripts', 'fleet'], machines[0]!.sluice.folder)
  assert.match(stdout, /^fleet: \S+ is one of 3 machines, all serve what is recorded, versions are signed\n/)
  assert.match(stdout, /\nbalancer\.js +[0-9a-f]{16} +live +rollback +20\d\d-.* ann\n/)
})

test('without Redis everything goes on, but for changes of all; who joins then serves what it has', async () => {
  await redis.stop()
  const { code, stderr } = await sluice(0, 'push', join(VERSIONS, 'by-user.js'), 'balancer.js')
  assert.is(code, 1)
  assert.match(stderr, '"?local=1" (--local) changes this machine alone')
  await machines[1]!.sluice.stop()
  await restart(machines[1]!)
  assert.equal(await all((machine) => routing(machine)), everywhere('by room'))
})

test.run()
