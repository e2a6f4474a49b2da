// What the lab needs of the machine: root, Linux, and Debian packages, installed where they lack.

import { aptInstall, isFile } from '../../apt.ts';

/** Packages by a file that each brings. */
const PACKAGES: Readonly<Record<string, string>> = {
  containerd: '/usr/bin/containerd',
  runc: '/usr/sbin/runc',
  'containernetworking-plugins': '/usr/lib/cni/bridge',
  iproute2: '/usr/sbin/ip',
  nftables: '/usr/sbin/nft',
  conntrack: '/usr/sbin/conntrack',
  buildah: '/usr/bin/buildah',
  debootstrap: '/usr/sbin/debootstrap',
};

/** Why no lab can be made here, or undefined where one can. */
export function obstacle(): string | undefined {
  if (process.platform !== 'linux') return `needs Linux, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'needs root, for network namespaces and containers';
  const absent = absentPackages();
  if (absent.length > 0 && !isFile('/usr/bin/apt-get')) {
    return `needs ${absent.join(', ')}, and there is no apt-get to install them`;
  }
  const path = process.env.PATH?.split(':') ?? [];
  if (!path.some((folder) => isFile(`${folder}/go`))) return 'needs Go, to build Kubernetes';
  return undefined;
}

const absentPackages = (): string[] =>
  Object.entries(PACKAGES)
    .filter(([, file]) => !isFile(file))
    .map(([name]) => name);

/** Installs what is missing, and says so before. */
export async function installPackages(say: (line: string) => void): Promise<void> {
  const absent = absentPackages();
  if (absent.length === 0) return;
  await aptInstall(absent, say);
}
