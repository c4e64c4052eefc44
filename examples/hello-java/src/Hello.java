import java.util.Map;

public class Hello {
  public Map<String, Object> handle(Map<String, Object> event) {
    Object name = event.getOrDefault("name", "world");
    System.out.println("called for " + name);
    return Map.of("statusCode", 200, "body", "{\"hello\":\"" + name + "\"}");
  }
}
