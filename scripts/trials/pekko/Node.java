// A node of a Pekko cluster for scripts/trials/pekko.mjs: java -cp JARS Node.java OWN_PORT OTHER_PORT
//
// Prints the state of the cluster whenever it changes. `send N` on standard input sends the other node a string of
// N characters, which it sends back.

import com.typesafe.config.ConfigFactory;
import java.util.List;
import java.util.Map;
import java.util.Scanner;
import org.apache.pekko.actor.AbstractActor;
import org.apache.pekko.actor.ActorSystem;
import org.apache.pekko.actor.Props;
import org.apache.pekko.cluster.Cluster;
import org.apache.pekko.cluster.ClusterEvent;
import org.apache.pekko.cluster.ClusterEvent.ClusterDomainEvent;
import org.apache.pekko.cluster.MemberStatus;

class Node {
  static final String HOST = "127.0.0.1";

  public static void main(String[] words) {
    int own = Integer.parseInt(words[0]);
    int other = Integer.parseInt(words[1]);
    var settings = ConfigFactory.parseMap(Map.of(
        "pekko.actor.provider", "cluster",
        "pekko.remote.artery.transport", "tcp",
        "pekko.remote.artery.canonical.hostname", HOST,
        "pekko.remote.artery.canonical.port", own,
        "pekko.cluster.seed-nodes", List.of(addressOf(Math.min(own, other))),
        "pekko.loglevel", "WARNING"));
    // Settings from -D take precedence.
    var system = ActorSystem.create("trial", ConfigFactory.load(ConfigFactory.systemProperties().withFallback(settings)));
    system.actorOf(Props.create(Echo.class), "echo");
    system.actorOf(Props.create(Watcher.class), "watcher");
    var replies = system.actorOf(Props.create(Replies.class), "replies");
    var there = system.actorSelection(addressOf(other) + "/user/echo");
    var input = new Scanner(System.in);
    while (input.hasNextLine()) {
      int length = Integer.parseInt(input.nextLine().substring("send ".length()));
      there.tell("x".repeat(length), replies);
    }
    system.terminate();
  }

  static String addressOf(int port) {
    return "pekko://trial@" + HOST + ":" + port;
  }

  static class Echo extends AbstractActor {
    @Override
    public Receive createReceive() {
      return receiveBuilder().match(String.class, text -> getSender().tell(text, getSelf())).build();
    }
  }

  static class Replies extends AbstractActor {
    @Override
    public Receive createReceive() {
      return receiveBuilder().match(String.class, text -> System.out.println("back " + text.length())).build();
    }
  }

  static class Watcher extends AbstractActor {
    @Override
    public void preStart() {
      Cluster.get(getContext().getSystem())
          .subscribe(getSelf(), ClusterEvent.initialStateAsEvents(), ClusterDomainEvent.class);
    }

    @Override
    public Receive createReceive() {
      return receiveBuilder().match(ClusterDomainEvent.class, event -> print()).build();
    }

    private void print() {
      var state = Cluster.get(getContext().getSystem()).state();
      long up = 0;
      for (var member : state.getMembers()) if (member.status().equals(MemberStatus.up())) up += 1;
      System.out.println("up " + up + ", unreachable " + state.getUnreachable().size());
    }
  }
}
