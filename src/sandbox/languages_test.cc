// Language runtimes under the jail's filter and root, where the machine has them.
#include "sandbox/jail_fixture_test.h"

using namespace mayfly;
using namespace mayfly::sandbox;
using namespace mayfly::sandbox::testing;

namespace {

struct Language {
  const char* name;
  std::vector<const char*> interpreters;  // the first that exists
  std::vector<const char*> arguments;
  const char* prints;
};

const std::vector<Language>& languages() {
  static const std::vector<Language> all = {
      {"bash",
       {"/usr/bin/bash"},
       {"-c", "x=$(echo a | cat <(echo b) -); echo ${x//$'\\n'/+}"},
       "b+a\n"},
      {"node",
       {"/usr/bin/node"},
       {"-e",
        "const {Worker}=require('worker_threads');const fs=require('fs');"
        "const h=require('crypto').createHash('sha256').update('x').digest('hex').slice(0,4);"
        "fs.promises.writeFile('/tmp/f','1').then(()=>{const w=new Worker("
        "'require(\"worker_threads\").parentPort.postMessage(41)',{eval:true});"
        "w.on('message',m=>{const c=require('child_process').execSync('echo hi').toString().trim();"
        "const s=require('net').createServer(k=>k.end('n')).listen(8080,'127.0.0.1',()=>"
        "require('net').connect(8080,'127.0.0.1').on('data',d=>{console.log(m+1,h,c,String(d),"
        "require('os').cpus().length>0);s.close()}))})})"},
       "42 2d71 hi n true\n"},
      {"python",
       {"/usr/bin/python3"},
       {"-c",
        "import subprocess,threading,hashlib,socket,os,tempfile,asyncio,concurrent.futures as c\n"
        "t=threading.Thread(target=lambda:None);t.start();t.join()\n"
        "o=subprocess.check_output(['echo','hi']).decode().strip()\n"
        "with tempfile.TemporaryFile() as f: f.write(b'1')\n"
        "p=c.ThreadPoolExecutor(4);r=list(p.map(lambda x:x*x,range(3)))\n"
        "asyncio.run(asyncio.sleep(0))\n"
        "print(o,r,hashlib.sha256(b'x').hexdigest()[:4],os.getuid(),len(os.urandom(4)))"},
       "hi [0, 1, 4] 2d71 993 4\n"},
      {"ruby",
       {"/usr/bin/ruby"},
       {"-e",
        "require 'digest'; t=Thread.new{1}; puts [t.value, `echo hi`.strip, "
        "Digest::SHA256.hexdigest('x')[0,4], Process.wait2(fork{exit 3})[1].exitstatus].join(' ')"},
       "1 hi 2d71 3\n"},
      {"perl",
       {"/usr/bin/perl"},
       {"-e", "print `echo hi`; print fork() ? '' : \"c\\n\"; wait"},
       "hi\nc\n"},
  };
  return all;
}

}  // namespace

TEST_CASE("bash, node, python, ruby and perl work in a jail: threads, children, sockets, files") {
  NEEDS("isolated processes and files");
  Jails jails;
  for (const auto& language : languages()) {
    Spec spec = Jails::shell("");
    spec.argv.clear();
    for (const char* path : language.interpreters) {
      if (spec.argv.empty() && std::filesystem::exists(path)) spec.argv.emplace_back(path);
    }
    if (spec.argv.empty()) {
      std::cout << "SKIPPED: needs " << language.name << ", which is not installed\n";
      continue;
    }
    spec.argv.insert(spec.argv.end(), language.arguments.begin(), language.arguments.end());
    spec.limits.memory_bytes = 512u << 20;
    INFO(language.name);
    auto run = jails.run(spec);
    CHECK(run.output == language.prints);
    CHECK(run.exit.code == 0);
  }
}

TEST_CASE("the Java virtual machine starts in a jail") {
  NEEDS("isolated processes and files");
  if (!std::filesystem::exists("/usr/bin/java")) {
    std::cout << "SKIPPED: needs java, which is not installed\n";
    return;
  }
  Jails jails;
  Spec spec = Jails::shell("/usr/bin/java -Xmx64m -XX:TieredStopAtLevel=1 -version 2>&1");
  spec.limits.memory_bytes = 512u << 20;
  auto run = jails.run(spec);
  INFO(run.output);
  CHECK(run.exit.code == 0);
  CHECK(run.output.find("version") != std::string::npos);
}
